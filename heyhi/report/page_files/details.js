// The card with the details of the chosen experiments.

const MOST_COMPARED = 6;
const flatOf = (run) =>
  isLive ? liveFlat(run) : { ...data.common[data.details[run].flat.common], ...data.details[run].flat.own };

/** Return the config of a row: of several experiments what they share. */
function rowFlat(row) {
  const runs = isLive ? data.members[row].slice(0, MOST_MEMBERS) : data.members[row];
  const [first, ...others] = runs.map(flatOf).filter((flat) => flat);
  return Object.fromEntries(
    Object.entries(first ?? {}).filter(([key, value]) => others.every((other) => other[key] === value)),
  );
}

function drawDetails() {
  const card = byId("details");
  const row = lastChosen ?? [...chosen][0];
  card.hidden = !chosen.size;
  document.body.classList.toggle("with-details", chosen.size > 0);
  if (!chosen.size) {
    if (isLive) endLog();
    return card.replaceChildren();
  }
  const [kept, scrolled] = [openSections(card), card.scrollTop];
  const close = make("button", { type: "button", className: "plain", onclick: () => choose([], {}) }, "Close");
  const rows = [...chosen];
  if (rows.length > 1) rows.sort((a, b) => shownRows.indexOf(a) - shownRows.indexOf(b));
  const heading = rows.length > 1 ? `${rows.length} chosen` : "Chosen";
  const parts = [make("div", { className: "bar" }, make("h2", {}, heading), close)];
  const runs = data.members[row];
  const run = runs.includes(lastRun) ? lastRun : runs[0];
  if (isLive) wantDetails([...new Set([...(run === undefined ? [] : [run]), ...(rows.length > 1 ? comparedRuns(rows) : [])])]);
  if (rows.length > 1) parts.push(...comparison(rows));
  if (isLive && (rows.length > 1 || runs.length > 1)) parts.push(commandsOfChosen(rows));
  if (runs.length > 1) parts.push(...severalExperiments(row));
  const one = isLive ? liveExperiment : oneExperiment;
  if (run !== undefined) parts.push(...one(run, rows.length > 1 || runs.length > 1));
  if (isLive) replaceUnlike(card, parts);
  else card.replaceChildren(...parts);
  for (const one of card.querySelectorAll("details")) one.open = kept.get(one.dataset.about) ?? one.open;
  card.scrollTop = scrolled;
}

/** Return which sections somebody has opened or closed, by what they are about. */
const openSections = (card) =>
  new Map([...card.querySelectorAll("details")].map((one) => [one.dataset.about, one.open]));

function section(title, open, ...children) {
  const element = make("details", { open }, make("summary", {}, title), ...children);
  element.dataset.about = title.replace(/ \(.*/, "");
  return element;
}

const MOST_KEY_TEXT = 44; // characters of a key: a longer one would push its values out of sight

/** Return a table of keys (rows) and experiments (columns). */
function keyTable(headings, keys, cell) {
  const head =
    headings && make("thead", {}, make("tr", {}, ...headings.map((heading) => make("th", { scope: "col" }, heading))));
  const body = keys.map((key) => make("tr", {}, make("th", { scope: "row", title: key }, nameText(key, MOST_KEY_TEXT)), ...cell(key)));
  return make(
    "div",
    { className: "scroll" },
    make("table", { className: "keys" }, ...(head ? [head] : []), make("tbody", {}, ...body)),
  );
}

/** Compare rows side by side: by what came out, then by what they were given. */
function comparison(rows) {
  const compared = rows.slice(0, MOST_COMPARED);
  const flats = compared.map(rowFlat);
  const base = compared.includes(comparedWith) ? compared.indexOf(comparedWith) : null;
  const differs = (key, i) => base === null || flats[i][key] !== flats[base][key];
  const keys = [...new Set(flats.flatMap(Object.keys))].filter((key) =>
    flats.some((flat) => flat[key] !== flats[base ?? 0][key]),
  );
  const heading = (row) => {
    const button = make(
      "button",
      {
        type: "button",
        className: "inline",
        title: data.members[row].map((run) => data.ids[run]).join("\n"),
        onclick: () => ((lastChosen = row), drawDetails()),
        "data-row": row,
      },
      cut(distinctLabel(row, compared, columns) || rowLabel(row), 40),
    );
    return make("span", { className: "compared" }, swatch(curveColours.get(row) ?? NONE), button);
  };
  const more =
    rows.length > compared.length
      ? [make("p", { className: "quiet" }, `the first ${compared.length} of ${rows.length}`)]
      : [];
  const body = keys.length
    ? keyTable(["key", ...compared.map(heading)], keys, (key) =>
        flats.map((flat, i) => make("td", { className: differs(key, i) ? "differs" : "quiet" }, fetchedValue(flat[key]))),
      )
    : make("p", { className: "quiet" }, isLive && !isAllKnown(compared) ? "fetching…" : "Their configs are equal.");
  const choice = compared.length > 2 ? [comparedChoice(compared)] : [];
  const search = keys.length >= MANY_KEYS ? [keySearch("What differs", body)] : [];
  return [
    ...metricsCompared(compared, heading),
    section(`What differs (${keys.length})`, true, ...choice, ...search, body, ...more),
  ];
}

const fetchedValue = (value) => (value === undefined || value === null ? "–" : String(value));
const MANY_KEYS = 8;
let comparedWith = null; // a row that the others are compared with; else each with any other

/** Return the experiments whose configs are compared. */
const comparedRuns = (rows) => rows.slice(0, MOST_COMPARED).flatMap((row) => data.members[row].slice(0, MOST_MEMBERS));
const isAllKnown = (rows) => comparedRuns(rows).every((run) => liveFlat(run));

/** Choose with which of some rows the others are compared. */
function comparedChoice(rows) {
  const select = make("select", {
    oninput: () => {
      comparedWith = select.value ? Number(select.value) : null;
      drawDetails();
    },
  });
  const names = rows.map((row) => [String(row), cut(distinctLabel(row, rows, columns) || rowLabel(row), 40)]);
  select.append(...[["", "any other"], ...names].map(([value, text]) => make("option", { value }, text)));
  select.value = rows.includes(comparedWith) ? String(comparedWith) : "";
  return make("div", { className: "bar" }, make("label", {}, "from ", select));
}

const keySearches = new Map(); // what somebody looks for, by the section

/** Return what a line of such a table says, its key uncut. */
const textOfLine = (line) => `${line.cells[0]?.title}\n${line.textContent}`.toLowerCase();

/** Make a box that leaves the rows of a table of keys that have a text. */
function keySearch(about, body) {
  const input = make("input", { type: "search", className: "key-search", placeholder: "find a key or value", value: keySearches.get(about) ?? "" });
  input.setAttribute("aria-label", "Find a key or value");
  const apply = (root) => {
    const words = input.value.toLowerCase();
    keySearches.set(about, input.value);
    for (const line of root.querySelectorAll("tbody tr")) line.hidden = !textOfLine(line).includes(words);
  };
  input.addEventListener("input", () => apply(input.parentElement));
  apply(body);
  return input;
}

/** Compare what came out, the best of each metric marked. */
function metricsCompared(rows, heading) {
  const found = metricColumns().filter((column) => rows.some((row) => column.values[row] !== null));
  if (!found.length) return [];
  const order = new Map(found.map((column) => [column.name, column]));
  const body = keyTable(["metric", ...rows.map(heading)], [...order.keys()], (name) => {
    const column = order.get(name);
    const numbers = rows.map((row) => (column.values[row] === null ? NaN : asNumber(column.values[row])));
    const finite = numbers.filter(Number.isFinite);
    const [low, high] = extent(finite);
    const best = low < high ? { min: low, max: high }[column.direction] : undefined;
    return rows.map((row, i) => {
      const isBest = numbers[i] === best && rowCounts(row);
      return make("td", { className: isBest ? "best" : "", title: exactText(column.values[row]) }, cellText(column, row) || "–");
    });
  });
  return [section(`Metrics (${found.length})`, true, body)];
}

/** List the experiments of a row that puts several together; one of them is told about below. */
function severalExperiments(row) {
  const runs = data.members[row];
  const metric = runColumnNamed(wordless(byId("scatter-y").value)) ?? runColumnNamed(byId("scatter-y").value);
  const head = ["experiment", "status", ...(metric ? [metric.name] : []), ""];
  const lines = runs.map((run) => {
    const button = make(
      "button",
      {
        ...{ type: "button", className: "inline", title: data.ids[run], "data-run": run },
        onclick: () => ((lastRun = run), drawDetails()),
      },
      cut(distinctLabel(run, runs, runColumns) || shortId(run), 60),
    );
    const value = metric ? metric.values[run] : null;
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, button),
      make("td", {}, status(exactText(runValueOf("status", run)))),
      ...(metric ? [make("td", {}, value === null ? "–" : isNumber(value) ? shortNumber(value) : exactText(value))] : []),
      make("td", { className: "quiet" }, data.counts[run] ? "" : "doesn't count"),
    );
  });
  const table = make(
    "table",
    { className: "keys" },
    make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)))),
    make("tbody", {}, ...lines),
  );
  return [
    make("h3", {}, rowLabel(row)),
    make("p", {}, marksElement(row)),
    section(`Experiments (${runs.length})`, true, make("div", { className: "scroll" }, table)),
  ];
}

/** What tells a row or a run from those beside it; nothing where no override does. */
const distinctLabel = (place, places, among) =>
  among
    .filter((column) => column.kind === "override" && places.some((one) => column.values[one] !== column.values[place]))
    .filter((column) => column.values[place] !== null)
    .map((column) => named(column, column.values[place]))
    .join(" ");

/** What is to be known of a run before its numbers are believed, and why it is as it is. */
function factsOf(run) {
  const names = ["reason", "note", "excluded", "stale", "mixed", "drifted", "problem", "code", "packages", "needs"];
  return names
    .map((name) => [name, exactText(runValueOf(name, run))])
    .filter(([, text]) => text && text !== "false")
    .map(([name, text]) => [name, factText(name, text)]);
}

function factText(name, text) {
  if (name === "reason") return withLocalTimes(text);
  return name === "excluded" && text === "true" ? "left out of means and of the best" : text;
}

function oneExperiment(run, amongOthers) {
  const detail = data.details[run];
  const links = make("p", { className: "links" });
  if (detail.folder) links.append(link(detail.folder, "folder"));
  if (detail.log_link) links.append(link(detail.log_link, "log"));
  const state = exactText(runValueOf("status", run));
  const facts = factsOf(run);
  const parts = [
    make("h3", { className: "id", title: data.ids[run] }, data.ids[run]),
    make("p", {}, ...(state ? [status(state)] : []), ...(data.counts[run] ? [] : [" ", make("span", { className: "quiet" }, "doesn't count in means")])),
    ...(facts.length
      ? [keyTable(null, facts.map(([name]) => name), (key) => [make("td", { className: "fact" }, new Map(facts).get(key))])]
      : []),
    links,
  ];

  const own = detail.flat.own;
  const common = data.common[detail.flat.common] ?? {};
  if (Object.keys(own).length || Object.keys(common).length) {
    const counted = (key) =>
      data.details.filter((other) => other.flat.common === detail.flat.common && other.flat.own[key] === own[key])
        .length;
    const of = data.details.filter((other) => other.flat.common === detail.flat.common).length;
    const differing = keyTable(["key", "here", "same in"], Object.keys(own), (key) => [
      make("td", { className: "differs" }, make("mark", {}, own[key] || "–")),
      make("td", { className: "quiet" }, `${counted(key) - 1} of ${of - 1} others`),
    ]);
    parts.push(
      section(
        `Differs from others (${Object.keys(own).length})`,
        !amongOthers,
        Object.keys(own).length ? differing : make("p", { className: "quiet" }, "Nothing: all have the same config."),
      ),
    );
    parts.push(
      section(
        `Same in all (${Object.keys(common).length})`,
        false,
        keyTable(null, Object.keys(common), (key) => [make("td", {}, common[key] || "–")]),
      ),
    );
  }
  if (detail.config) parts.push(section("Config", false, configText(detail.config, own)));
  if (detail.attempts.length)
    parts.push(section(`Attempts (${detail.attempts.length})`, true, attempts(detail.attempts)));
  if (detail.log.length)
    parts.push(section("Last log lines", true, make("pre", { tabIndex: 0 }, detail.log.join("\n"))));
  return parts;
}

/** Show the config, with the lines of fields that differ marked; a field is known by its last name. */
function configText(text, own) {
  const names = new Set(
    Object.keys(own).map((key) =>
      key
        .split(".")
        .filter((part) => !/^\d+$/.test(part))
        .pop(),
    ),
  );
  const lines = text.replace(/\n$/, "").split("\n");
  return make(
    "pre",
    { tabIndex: 0 },
    ...lines.flatMap((line) => [names.has(line.trim().split(/[:\s{]/)[0]) ? make("mark", {}, line) : line, "\n"]),
  );
}

function attempts(list) {
  const names = [...new Set(list.flatMap(Object.keys))];
  const head = make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name)));
  const body = list.map((one) => make("tr", {}, ...names.map((name) => make("td", {}, one[name] ?? ""))));
  return make(
    "div",
    { className: "scroll" },
    make("table", { className: "keys nowrap" }, make("thead", {}, head), make("tbody", {}, ...body)),
  );
}
