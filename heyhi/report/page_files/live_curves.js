// The curves of a live page: fetched for what is drawn, and kept for what may be drawn again.

const MOST_LINES = 1000; // that are drawn at once
// Points of all lines of a metric. They are drawn as SVG: Plotly's other kind compiles code as it runs, which the page's
// policy forbids, and needs WebGL, which remote desktops lack.
const MOST_DRAWN = 64_000;
const FEWEST_POINTS = 50; // of a line
const MOST_KEYS = 250; // experiments of one request: an address has its bounds
const MOST_NAMES = 20; // metrics of one request
const MOST_NAME = 500; // characters of a metric's name: longer ones are neither listed nor asked for
const MOST_SPELT = 16_000; // characters of all names of one request, as an address spells them
const MOST_ASKED = 100_000; // points of one request
const MOST_KEPT_CURVES = 64e6; // characters of packed numbers
const REQUESTS = 2; // at the same time
const PROBED = 20; // experiments that are asked which metrics there are
const FIRST_PART = 400; // milliseconds before a part of what was asked for is drawn
const FIRST_PAUSE = 1000; // milliseconds before what failed is tried again; then twice as long, up to
const LAST_PAUSE = 30_000;

let keptCurves = new Map(); // key of an experiment -> what came of it; what was drawn last at the end
const rowNews = new Map(); // key -> at which news its row changed last
let newsCount = 0;
let wantedCurves = { keys: [], metrics: [], points: 0 };
const asking = new Set(); // keys of requests that are under way
let [curvesFailed, curvesPause, retryTimer] = ["", FIRST_PAUSE, null];
let [drawTimer, lastDrawing, drawingTook] = [null, -Infinity, 0];

const keptOf = (key) => keptCurves.get(key) ?? { sets: new Map(), names: [], asked: new Map(), size: 0, probed: 0, of: "", stamp: "" };

/** Return whether curves that are drawn are under way, or have come and aren't drawn yet. */
const curvesPending = () => asking.size > 0 || drawTimer !== null;

/** Learn which experiments have changed; what of them is drawn is fetched at the next drawing. */
function onCurveNews({ all, runs = [] }) {
  newsCount += 1;
  for (const run of all ? data.keys.keys() : runs) rowNews.set(data.keys[run], newsCount);
  if (!all) return;
  const known = new Set(data.keys);
  keptCurves = new Map([...keptCurves].filter(([key]) => known.has(key)));
  for (const key of [...rowNews.keys()]) if (!known.has(key)) rowNews.delete(key);
}

/** Give the data what is kept of its curves. */
function bringCurves() {
  data.curves = data.keys.map((key) => [...keptOf(key).sets.values()]);
  data.x = axesKept;
}

let [axesKept, axesAmong] = [[], 0]; // names, as the answers offer them, and of how many experiments that answer was

/** Return which metrics have curves: as the answers say, and by the table of those that weren't asked yet. */
function namesOfCurves() {
  const found = new Set();
  for (const column of runColumns) {
    if (column.kind !== "metric" || column.name.endsWith(RESULT)) continue;
    const name = wordless(column.name);
    if (isTooLong(name)) continue;
    if (data.keys.some((key, run) => column.values[run] !== null && !keptCurves.has(key))) found.add(name);
  }
  for (const { names } of keptCurves.values()) names.forEach((name) => found.add(name));
  return [...found];
}

const RESULT = " (result)";
const NOT_BEGUN = new Set(["NOT_STARTED", "PENDING", "BLOCKED"]);

/** Return whether a run may have curves that weren't fetched yet: the table has a value, or nobody knows. */
function mayHaveCurve(run, metrics) {
  const key = data.keys[run];
  const isKnown = (metric) => keptOf(key).asked.get(metric)?.news >= (rowNews.get(key) ?? 0);
  if (metrics.length && metrics.every(isKnown)) return false;
  const logged = runColumns.filter(({ kind, name }) => kind === "metric" && !name.endsWith(RESULT));
  const own = logged.filter(({ name }) => metrics.includes(wordless(name)));
  if (metrics.length && logged.length) return (own.length ? own : logged).some(({ values }) => values[run] !== null);
  return !NOT_BEGUN.has(exactText(runValueOf("status", run)));
}
const isTooLong = (name) => name.length > MOST_NAME && [...name].length > MOST_NAME;
const spelt = (name) => String(new URLSearchParams([["metrics", name]])).length + 1;

/** Return how many points a line is asked for: as many as its chart has pixels, fewer where lines are many. */
function pointsOf(width, lines) {
  const wanted = Math.max(Math.min(width, MOST_DRAWN / Math.max(lines, 1)), FEWEST_POINTS);
  return Math.floor(2 ** (Math.floor(4 * Math.log2(wanted)) / 4)); // one of few numbers: a pixel more changes nothing
}

/** See to it that curves come: those of bundles, the chosen first. */
function wantCurves(bundles, metrics, width) {
  const sorted = [...bundles].sort((a, b) => b.on - a.on);
  const runs = [...new Set(sorted.flatMap((bundle) => bundle.runs))];
  const points = pointsOf(width, runs.length);
  wantedCurves = { keys: runs.map((run) => data.keys[run]), metrics, points };
  for (const key of wantedCurves.keys) {
    const kept = keptCurves.get(key);
    if (!kept) continue;
    keptCurves.delete(key); // to the end
    keptCurves.set(key, kept);
  }
  askCurves();
}

/** Ask for what will be drawn before the table is made, where nothing sorts or filters it. */
function wantCurvesAhead() {
  const metrics = drawnMetrics();
  if (table || metrics.length !== 1 || TURNS.some((name) => seen(name) !== null)) return;
  shownRows = [...Array(rowCount()).keys()];
  wantCurves(gathered(mostLines()), metrics, byId("curves").clientWidth);
}

const TURNS = ["sort", "search", "status", "why", "only", "filter"];

/** Return which of the wanted metrics of an experiment aren't there, or are of an older state. */
function lackingOf(key) {
  const [{ asked }, { metrics, points }] = [keptOf(key), wantedCurves];
  const isOld = (one) => one === undefined || one.news < (rowNews.get(key) ?? 0) || one.points < points / 1.5;
  return metrics.filter((metric) => isOld(asked.get(metric)));
}

function askCurves() {
  if (retryTimer !== null) return;
  if (!requests) askedSince = performance.now();
  while (requests < REQUESTS) {
    const batch = nextBatch();
    if (!batch) break;
    fetchBatch(batch);
  }
  showFetching();
}

let [requests, askedSince] = [0, 0];

/** Return what to ask for next, or null. */
function nextBatch() {
  const { keys, metrics, points } = wantedCurves;
  const free = keys.filter((key) => !asking.has(key));
  if (!metrics.length) {
    const isUnknown = (key) => keptOf(key).probed < (rowNews.get(key) ?? 1);
    const unknown = curveMetrics.length || asking.size ? [] : free.filter(isUnknown).slice(0, PROBED);
    return unknown.length ? { keys: unknown, metrics: [], points: FEWEST_POINTS } : null;
  }
  const names = new Set();
  const found = [];
  let length = 0;
  for (const key of free) {
    const lacking = lackingOf(key);
    if (!lacking.length) continue;
    found.push(key);
    for (const metric of lacking) {
      if (names.has(metric) || names.size >= MOST_NAMES || length + spelt(metric) > MOST_SPELT) continue;
      names.add(metric);
      length += spelt(metric);
    }
    if (found.length >= Math.min(MOST_KEYS, MOST_ASKED / (names.size * points))) break;
  }
  return found.length ? { keys: found, metrics: [...names], points } : null;
}

async function fetchBatch({ keys, metrics, points }) {
  const [server, news] = [data.server, newsCount];
  keys.forEach((key) => asking.add(key));
  requests += 1;
  const of = [points, ...metrics].join("\n"); // what a stamp is of
  const have = keys.map((key) => (keptOf(key).of === of ? keptOf(key).stamp : ""));
  const query = new URLSearchParams([["keys", keys.join(",")], ["points", points], ...metrics.map((name) => ["metrics", name])]);
  if (have.some(Boolean)) query.set("have", have.join(","));
  try {
    const answer = await fetchJson(`curves?${query}`);
    const hadFailed = Boolean(curvesFailed);
    [curvesFailed, curvesPause] = ["", FIRST_PAUSE];
    if (server !== data.server) return;
    takeCurves(answer, { keys, metrics, points, news, of });
    // Of what has changed in the table, most curves are what they were: hundreds of lines aren't painted again for that.
    const isSame = (answer.same?.length ?? 0) === keys.length;
    if (!isSame || hadFailed || !byId("curves").data?.length) drawSoon();
  } catch (error) {
    curvesFailed = error.message;
    if (error.isRefused) giveUp(keys, metrics, { news, points });
    else retryTimer = setTimeout(() => ((retryTimer = null), askCurves()), curvesPause);
    if (!error.isRefused) {
      curvesFailed += " (it is tried again)";
      curvesPause = Math.min(2 * curvesPause, LAST_PAUSE);
    }
    drawSoon();
  } finally {
    requests -= 1;
    keys.forEach((key) => asking.delete(key));
    askCurves();
  }
}

/** Ask no more for what is refused, until there is news of it: the same request would be answered alike. */
function giveUp(keys, metrics, asked) {
  const shown = new Set(data.keys);
  for (const key of keys.filter((one) => shown.has(one))) {
    const kept = keptOf(key);
    kept.probed = Math.max(asked.news, 1);
    for (const metric of metrics) kept.asked.set(metric, asked);
    keptCurves.set(key, kept);
  }
}

/** Keep what came: of experiments that are shown still, and no state that is older than what is there. */
function takeCurves(answer, { keys, metrics, points, news, of }) {
  const runs = new Map(data.keys.map((key, run) => [key, run]));
  const refs = (answer.arrays ?? []).map((packed) => ({ packed }));
  const over = (places) => Object.fromEntries(Object.entries(places ?? {}).map(([name, place]) => [name, refs[place]]));
  const before = curveMetrics.length;
  const same = new Set(answer.same ?? []);
  const left = new Set(answer.left ?? []); // to be asked for again
  for (const key of keys) {
    if (!runs.has(key) || left.has(key)) continue;
    const kept = keptOf(key);
    const sets = answer.curves[key] ?? [];
    kept.probed = Math.max(news, 1);
    for (const metric of metrics) {
      if ((kept.asked.get(metric)?.news ?? 0) > news) continue;
      kept.asked.set(metric, { news, points });
      if (same.has(key)) continue;
      kept.sets.delete(metric);
      const set = sets.find(({ y }) => Object.hasOwn(y, metric));
      if (!set) continue;
      const one = { x: over(set.x), y: { [metric]: refs[set.y[metric]] } };
      if (set.mean) Object.assign(one, { mean_x: over(set.mean_x), mean: { [metric]: refs[set.mean[metric]] } });
      kept.sets.set(metric, one);
    }
    if (!same.has(key)) [kept.of, kept.stamp] = [of, answer.stamps?.[key] ?? ""];
    kept.names = answer.metrics?.[key] ?? [...new Set([...kept.names, ...sets.flatMap(({ y }) => Object.keys(y))])];
    kept.size = [...kept.sets.values()].reduce((sum, one) => sum + sizeOf(one), 0);
    keptCurves.delete(key);
    keptCurves.set(key, kept);
    data.curves[runs.get(key)] = [...kept.sets.values()];
  }
  const names = answer.x ?? [];
  // In the order that the answer of most experiments has.
  const both = keys.length >= axesAmong ? [...names, ...axesKept] : [...axesKept, ...names];
  axesAmong = Math.max(axesAmong, keys.length);
  axesKept = [...new Set(both.filter((name) => name !== "line"))];
  if ([...names, ...data.x].includes("line")) axesKept.push("line");
  data.x = axesKept;
  data.points = answer.points;
  forgetCurves(runs);
  readMetrics();
  if (before !== curveMetrics.length || !drawnMetrics().length) showMetrics();
  fillAxes();
}

const sizeOf = ({ x, y, mean_x, mean }) =>
  [x, y, mean_x, mean].reduce((sum, refs) => sum + Object.values(refs ?? {}).reduce((all, one) => all + one.packed.length, 0), 0);

/** Forget what was drawn longest ago, so that there is no more than there may be. */
function forgetCurves(runs) {
  let total = [...keptCurves.values()].reduce((sum, { size }) => sum + size, 0);
  const wanted = new Set(wantedCurves.keys);
  for (const [key, { size }] of [...keptCurves]) {
    if (total <= MOST_KEPT_CURVES) return;
    if (wanted.has(key)) continue;
    keptCurves.delete(key);
    data.curves[runs.get(key)] = [];
    total -= size;
  }
}

/** Draw what came: at once where nothing else is under way, else not more often than drawing is cheap. */
function drawSoon() {
  clearTimeout(drawTimer);
  // What comes soon is drawn at once.
  const due = Math.max(askedSince + FIRST_PART, lastDrawing + Math.max(250, 3 * drawingTook));
  drawTimer = setTimeout(
    () => {
      drawTimer = null;
      redraw(drawCurves);
    },
    requests > 1 || nextBatch() ? Math.max(due - performance.now(), 0) : 0,
  );
}

/** Say, beside the controls, that something is on its way: not where it comes at once. */
function showFetching() {
  const sign = byId("curves-fetching");
  if (requests && sign.hidden && signTimer === null) signTimer = setTimeout(() => (sign.hidden = !requests), 200);
  if (requests) return;
  clearTimeout(signTimer);
  signTimer = null;
  sign.hidden = true;
}

let signTimer = null;

/** Learn how long a drawing took: what takes long is drawn less often. */
function tookDrawing(began) {
  requestAnimationFrame(() =>
    setTimeout(() => {
      lastDrawing = performance.now(); // after it was painted
      drawingTook = lastDrawing - began;
    }),
  );
}

/** Say what isn't drawn of a live page, and what went wrong. */
function notesOfFetching(metrics) {
  const notes = [];
  if (curvesFailed) notes.push(`not all of it: ${curvesFailed}`);
  if (runColumns.some(({ kind, name }) => kind === "metric" && isTooLong(wordless(name))))
    notes.push(`less metrics whose names have more than ${MOST_NAME} characters`);
  if (Number(byId("lines").value) > MOST_LINES && shownRows.length > MOST_LINES)
    notes.push(`of the first ${MOST_LINES} rows of the table`);
  if (byId("multiples").checked && metrics.length > MOST_CHARTS) notes.push(`the first ${MOST_CHARTS} of these have a chart`);
  return notes;
}

// ---- Charts that nobody sees aren't drawn yet ----

const MOST_CHARTS = 24;
const NEAR = 200; // pixels
const ROW_OF_CHARTS = 220; // pixels, as style.css has it
let seenCharts = new Set(); // metrics whose chart was in sight since others were chosen
let seenAmong = []; // the metrics that had charts then

/** Return the metrics of each chart, where each has its own. */
const chartsOf = (metrics) => (isLive ? metrics.slice(0, MOST_CHARTS) : metrics).map((metric) => [metric]);

/** Return for each chart whether it is drawn: a few are, of many those that were in sight. */
function inSight(charts) {
  if (!isLive || charts.length <= 4) return charts.map(() => true);
  const among = charts.flat();
  if (JSON.stringify(among) !== JSON.stringify(seenAmong)) [seenCharts, seenAmong] = [new Set(), among];
  unseenOf(charts).forEach((metric) => seenCharts.add(metric));
  return charts.map(([metric]) => seenCharts.has(metric));
}

/** Return the metrics of charts that are in sight now, and weren't before. */
function unseenOf(charts) {
  const [{ top }, across] = [byId("curves").getBoundingClientRect(), chartsAcross(charts.length)];
  const at = (i) => top + 60 + ROW_OF_CHARTS * Math.floor(i / across);
  const isNear = (_, i) => at(i) < innerHeight + NEAR && at(i) + ROW_OF_CHARTS > -NEAR;
  return charts.filter(isNear).flat().filter((metric) => !seenCharts.has(metric));
}

function onScroll() {
  if (unseenOf(seenAmong.map((metric) => [metric])).length) redraw(drawCurves);
}

// ---- Somebody is at work in a chart while it grows ----

let [isHeld, isDrawnLater, pointer] = [false, false, null];

/** Draw nothing anew under a drag, and keep what is told of the point under the pointer. */
function linkGrowing() {
  const plot = byId("curves");
  plot.addEventListener("pointerdown", () => (isHeld = true), true);
  for (const kind of ["pointerup", "pointercancel"])
    addEventListener(kind, () => {
      isHeld = false;
      if (isDrawnLater) redraw(drawCurves);
      isDrawnLater = false;
    });
  plot.addEventListener("mousemove", (event) => event.isTrusted && (pointer = [event.clientX, event.clientY]), true);
  plot.addEventListener("mouseleave", () => (pointer = null));
  addEventListener("scroll", onScroll, { passive: true });
  onNews.push(onCurveNews);
}

/** Have Plotly tell again what is under the pointer. */
function pointAgain() {
  if (!pointer) return;
  const [clientX, clientY] = pointer;
  const element = document.elementFromPoint(clientX, clientY);
  if (!element?.classList.contains("drag")) return;
  element.dispatchEvent(new MouseEvent("mousemove", { clientX, clientY, bubbles: true, view: window }));
}
