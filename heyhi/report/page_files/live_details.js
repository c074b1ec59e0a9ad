// What is told of single experiments on a live page: fetched when they are chosen, and again after news of them.

const MOST_DETAILS = 48; // experiments that are kept
const MOST_MEMBERS = 3; // of a row that puts several together, whose configs are compared
const MOST_COMMANDED = 50; // experiments whose commands are listed at once
const RETRY_DETAILS = 3000; // milliseconds

const keptDetails = new Map(); // key -> { answer, news, error }, what was wanted last at the end
const askingDetails = new Set();

/** Return whether something is under way, or has come and isn't drawn yet. */
const isAwaited = () => curvesPending() || askingDetails.size > 0;
const answerOf = (run) => keptDetails.get(data.keys[run])?.answer ?? null;
const errorOf = (run) => keptDetails.get(data.keys[run])?.error ?? "";

/** See to it that what is told of some experiments comes; a bounded number of them. */
function wantDetails(runs) {
  for (const run of runs.slice(0, MOST_DETAILS)) {
    const key = data.keys[run];
    const kept = keptDetails.get(key);
    if (kept) {
      keptDetails.delete(key);
      keptDetails.set(key, kept);
    }
    if (askingDetails.has(key) || (kept && kept.news >= (rowNews.get(key) ?? 0))) continue;
    fetchDetails(key);
  }
  for (const key of [...keptDetails.keys()].slice(0, Math.max(keptDetails.size - MOST_DETAILS, 0))) keptDetails.delete(key);
}

async function fetchDetails(key) {
  const [server, news] = [data.server, newsCount];
  askingDetails.add(key);
  let found;
  try {
    found = { answer: await fetchJson(`experiments/${key}`), news, error: "" };
  } catch (error) {
    found = { answer: keptDetails.get(key)?.answer ?? null, news, error: error.message };
    setTimeout(() => {
      if (keptDetails.get(key) === found) found.news = -1; // it is asked for again
      redraw(drawDetails);
    }, RETRY_DETAILS);
  }
  askingDetails.delete(key);
  if (server === data.server) keptDetails.set(key, found);
  redraw(drawDetails);
}

/** Return the config of an experiment as keys and texts, null while nobody knows it. */
const liveFlat = (run) => answerOf(run)?.flat ?? null;

// ---- One experiment ----

const shownTime = (value) => {
  const date = new Date(typeof value === "number" ? 1000 * value : value);
  return Number.isNaN(date.getTime()) ? String(value) : date.toLocaleString();
};
const isTime = (name) => /(^|_)(time|began|started|ended|updated|at|since)$/.test(name);
const isLong = (name) => /^(seconds|seconds_so_far|queued)$/.test(name);

/** Write a value that the server sent: a number in short, a time as one reads it, anything else as it is. */
function fetchedText(name, value) {
  if (value === null || value === undefined || value === "") return "";
  if (isTime(name) && (typeof value === "number" || /^\d{4}-\d\d-\d\dT/.test(value))) return shownTime(value);
  const number = typeof value === "string" && /^\d+(\.\d+)?$/.test(value) ? Number(value) : value;
  if (isLong(name) && typeof number === "number") return duration(number);
  if (typeof value === "number") return shortNumber(value);
  if (Array.isArray(value)) return value.map((one) => fetchedText("", one)).join(", ");
  return name === "reason" ? withLocalTimes(String(value)) : String(value);
}

const spoken = (name) => name.replaceAll("_", " ");

const pairsTable = (pairs) => {
  const texts = new Map(pairs);
  return keyTable(null, [...texts.keys()], (name) => [make("td", { className: "fact" }, texts.get(name))]);
};

function liveExperiment(run, amongOthers) {
  const [answer, error] = [answerOf(run), errorOf(run)];
  const state = exactText(runValueOf("status", run));
  const told = new Map(factsOf(run));
  for (const [name, value] of factsIn(answer ?? {})) if (!told.has(name)) told.set(name, value);
  const head = make(
    "p",
    { className: "links" },
    ...(state ? [status(state)] : []),
    ...(data.counts[run] ? [] : [make("span", { className: "quiet" }, "doesn't count in means")]),
    copyButton(data.ids[run], "copy id"),
    ...(answer?.folder ? [copyButton(answer.folder, "copy folder")] : []),
  );
  const parts = [make("h3", { className: "id", title: data.ids[run] }, data.ids[run]), head];
  if (told.size) parts.push(pairsTable([...told].map(([name, text]) => [spoken(name), text])));
  if (error) parts.push(make("p", { className: "failed" }, `Not all of it: ${error} (it is tried again)`));
  for (const line of answer?.not_shown ?? []) parts.push(make("p", { className: "failed" }, line));
  if (!answer) {
    if (!error) parts.push(make("p", { className: "quiet" }, "fetching…"));
    return parts;
  }
  const isOpen = !amongOthers && state !== "DONE"; // nothing has to be done about it
  if (answer.commands?.length) parts.push(section("Commands", isOpen, commandList(answer.commands)));
  parts.push(differing(run, !amongOthers));
  const used = usedPairs(answer, state);
  if (used.length) parts.push(section("Used", true, pairsTable(used)));
  const listed = (name, title, body) =>
    answer[name]?.length && parts.push(section(`${title} (${countOf(answer, name)})`, true, body(answer[name])));
  listed("attempts", "Attempts", liveAttempts);
  listed("needs", "Needs", linkedExperiments);
  listed("needed_by", "Needed by", linkedExperiments);
  const keys = Object.keys(answer.flat ?? {});
  if (keys.length) {
    const body = keyTable(null, keys, (key) => [make("td", {}, fetchedText("", answer.flat[key]) || "–")]);
    parts.push(section(`Keys (${countOf(answer, "flat")})`, false, keySearch("Keys", body), body));
  }
  const own = Object.fromEntries(toldApart(run).map(({ name }) => [name, ""]));
  if (answer.config) parts.push(section("Config", false, configText(answer.config, own)));
  const made = madePairs(answer);
  if (made.length) parts.push(section("Made of", false, pairsTable(made)));
  parts.push(logOf(run, answer));
  return parts;
}

/** Return the overrides of a run that others have not, or have otherwise. */
const toldApart = (run) =>
  runColumns.filter(
    (column) => column.kind === "override" && column.values[run] !== null && (column.isVaried || column.hasGaps),
  );

/** List what tells an experiment from those beside it. */
function differing(run, isOpen) {
  const found = new Map(toldApart(run).map((column) => [column.name, column]));
  const same = ({ values }) => values.filter((value) => exactText(value) === exactText(values[run])).length - 1;
  const body = keyTable(["key", "here", "same in"], [...found.keys()], (name) => [
    make("td", { className: "differs" }, make("mark", {}, exactText(found.get(name).values[run]) || "–")),
    make("td", { className: "quiet" }, `${same(found.get(name))} of ${data.ids.length - 1} others`),
  ]);
  const none = make("p", { className: "quiet" }, "Nothing: no override tells it from the others.");
  return section(`Differs from others (${found.size})`, isOpen, found.size ? body : none);
}

/** Return how many there are of something, of which not all may have been sent. */
const countOf = (answer, name) => answer[`${name}_in_all`] ?? answer[name].length ?? Object.keys(answer[name]).length;

/** Return what is to be known of an experiment first: names and texts. */
function factsIn(answer) {
  const told = ["reason", "progress", "since", "job", "note", "stale", "mixed", "trial"];
  const pairs = told.map((name) => [name, fetchedText(name, answer[name])]);
  const said = (answer.said ?? []).map(([log, line]) => `${line} (${log})`).join("\n");
  return [...pairs, ["the controller said of it", said]].filter(([, text]) => text && text !== "false");
}

/** What is used, as one says it; other names are told as they are. */
const USED_NAMES = {
  gpu_hours: "GPU hours",
  cpu_hours: "CPU hours",
  gpu_hours_lost: "GPU hours lost",
  cpu_hours_lost: "CPU hours lost",
  mem_used: "memory, GB",
  queued: "in the queue",
};

/** Return names and what is used; `seconds_so_far` is of when it was noted, so that the time since the start is told instead. */
function usedPairs(answer, state) {
  const pairs = Object.entries(answer.used ?? {}).filter(([name]) => name !== "seconds_so_far");
  const found = pairs.map(([name, value]) => [USED_NAMES[name] ?? spoken(name), fetchedText(name, value)]);
  const began = state === "RUNNING" ? Date.parse(answer.since) : NaN;
  if (Number.isFinite(began)) found.push(["runs for", make("span", { "data-began": began }, agoText(began))]);
  return found.filter(([, text]) => text);
}

const agoText = (began) => duration(Math.max(Math.round((Date.now() - began) / 1000), 0));

setInterval(() => {
  for (const one of byId("details").querySelectorAll("[data-began]")) setText(one, agoText(Number(one.dataset.began)));
}, 1000);

/** Return of what an experiment was made. */
function madePairs(answer) {
  const names = ["cfg", "overrides", "project", "folder"];
  const pairs = names.map((name) => [spoken(name), fetchedText(name, answer[name])]);
  return pairs.filter(([, text]) => text && text !== "false");
}

/** The columns of the attempts that one looks for first, by the names that records have. */
const ATTEMPT_ORDER = ["attempt", "started", "seconds", "reason", "exception", "host", "job_id"];

function liveAttempts(list) {
  const texts = list.map((one) => Object.fromEntries(Object.entries(one).map(([name, value]) => [name, fetchedText(name, value)])));
  const all = [...new Set(texts.flatMap(Object.keys))].filter((name) => texts.some((one) => one[name]));
  const place = (name) => (ATTEMPT_ORDER.includes(name) ? ATTEMPT_ORDER.indexOf(name) : ATTEMPT_ORDER.length);
  all.sort((a, b) => place(a) - place(b));
  const renamed = texts.map((one) => Object.fromEntries(all.map((name) => [spoken(name), one[name] ?? ""])));
  return attempts(renamed);
}

/** List experiments; those that the page shows are chosen by a click. */
function linkedExperiments(list) {
  const places = new Map(data.keys.map((key, run) => [key, run]));
  const lines = list.map((one) => {
    const { key, id, status: state } = one;
    const run = places.get(key);
    const name =
      run === undefined
        ? make("span", { title: id }, cut(id, 80))
        : make("button", { type: "button", className: "inline", title: id, "data-run": run, onclick: () => chooseRun(run) }, cut(id, 80));
    const why = one.reason ? [make("span", { className: "reason" }, ` ${cut(withLocalTimes(one.reason), 200)}`)] : [];
    return make("li", {}, ...(state ? [status(state), " "] : []), name, ...why);
  });
  return make("ul", { className: "linked" }, ...lines);
}

/** Choose the row that a run is in, and tell of the run. */
function chooseRun(run) {
  const row = rowsOfRun[run]?.[0];
  if (row === undefined) return;
  choose([row], {});
  lastRun = run;
  redraw(drawDetails);
}

// ---- Several ----

/** List the commands of all that is chosen, where these aren't too many. */
function commandsOfChosen(rows) {
  const runs = rows.flatMap((row) => data.members[row]);
  if (runs.length > MOST_COMMANDED) {
    const text = `Choose up to ${MOST_COMMANDED} experiments to have commands for all of them; these are ${runs.length}.`;
    return section("Commands for all", false, make("p", { className: "quiet" }, text));
  }
  const isOpen = openCommands();
  if (isOpen) wantDetails(runs);
  const known = runs.filter((run) => answerOf(run));
  const lines = isOpen ? commandsOfAll(known, (run) => answerOf(run).commands ?? []) : [];
  const missing = runs.length - known.length;
  const body = [commandList(lines), ...(missing ? [make("p", { className: "quiet" }, `fetching ${missing} more…`)] : [])];
  const found = section("Commands for all", isOpen, ...(isOpen ? body : []));
  found.addEventListener("toggle", () => found.open !== isOpen && redraw(drawDetails));
  return found;
}

const openCommands = () => byId("details").querySelector('details[data-about="Commands for all"]')?.open ?? false;

// ---- What is drawn again stays as it was where nothing of it has changed ----

/** Show nodes in the place of others: what is alike is left alone, with what is opened, scrolled and selected in it. */
function replaceUnlike(card, nodes) {
  const old = [...card.children];
  const used = new Set();
  const wanted = nodes.map((node) => {
    const about = node.dataset.about;
    const isLike = (one) => (about ? one.dataset.about === about : one.tagName === node.tagName && !one.dataset.about);
    const like = old.find((one) => !used.has(one) && isLike(one));
    if (!like) return node;
    if (node !== like && about && like.open !== undefined) node.open = like.open;
    if (node !== like && !like.isEqualNode(node)) {
      if (about) keepScroll(like, node);
      return node;
    }
    used.add(like);
    return like;
  });
  const stays = new Set(wanted);
  old.forEach((one) => stays.has(one) || one.remove());
  let next = card.firstElementChild;
  for (const node of wanted) {
    if (node === next) next = next.nextElementSibling;
    else card.insertBefore(node, next);
  }
}

/** Have what takes the place of a section be scrolled as that was, once it is there. */
function keepScroll(before, after) {
  const boxes = (element) => [...element.querySelectorAll(".scroll, pre")];
  const places = boxes(before).map(({ scrollTop, scrollLeft }) => [scrollTop, scrollLeft]);
  queueMicrotask(() => boxes(after).forEach((box, i) => places[i] && ([box.scrollTop, box.scrollLeft] = places[i])));
}
