// The data that the page shows, as page_payload.py makes it, and values as texts; every part of the page reads them
// here. Texts from data reach the page through textContent only, and Plotly through plotText.

let data = null; // a run is an experiment's place in data.ids, a row one of the table
const byId = (id) => document.getElementById(id);

const SAID = new Set(["title", "placeholder", "aria-label"]);

/** Make an element; strings among the children become text, never markup. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    const shown = SAID.has(key) && typeof value === "string" ? readable(value) : value;
    if (key in element) element[key] = shown;
    else element.setAttribute(key, shown);
  }
  element.append(...children.map((child) => (typeof child === "string" ? readable(child) : child)));
  return element;
}

/** Escape what Plotly would take for its pseudo-HTML, or for a template's placeholder. */
const plotText = (text) =>
  readable(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/%\{/g, "%&#123;");

// ---- Values: text, a number, null for none, or [text] for a number that JSON can't hold ----

const isNumber = (value) => typeof value === "number" || Array.isArray(value);
const asNumber = (value) => (Array.isArray(value) ? Number(value[0]) : value);
/** Write the moments in a text, which records have in UTC, as clocks show them here. */
const MOMENT = /\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)/g;
const withLocalTimes = (text) =>
  text.replace(MOMENT, (moment) => {
    const then = new Date(moment);
    const isToday = then.toDateString() === new Date().toDateString();
    return Number.isNaN(then.getTime()) ? moment : isToday ? then.toLocaleTimeString() : then.toLocaleString();
  });

const exactText = (value) => (value === null ? "" : Array.isArray(value) ? value[0] : String(value));

function shortNumber(value) {
  if (Array.isArray(value)) return value[0];
  return Number.isInteger(value) && Math.abs(value) < 1e15 ? String(value) : String(Number(value.toPrecision(5)));
}

/** Write a mean: its error to two digits and itself as far as these go, and of how many it is where some are missing. */
function meanText(mean, error, count, wanted) {
  const some = count !== null && wanted !== null && count < wanted ? ` (${count}/${wanted})` : "";
  if (typeof mean !== "number" || typeof error !== "number") return `${shortNumber(mean)}${some}`;
  const places = error > 0 ? Math.max(1 - Math.floor(Math.log10(Number(error.toPrecision(2)))), 0) : null;
  const [low, high] = [Math.min(Math.abs(mean) || 1, error), Math.max(Math.abs(mean), error)];
  if (places === null || low < 1e-5 || high >= 1e6)
    return `${shortNumber(mean)} ± ${Number(error.toPrecision(2))}${some}`;
  return `${mean.toFixed(places)} ± ${error.toFixed(places)}${some}`;
}

function duration(seconds) {
  if (!Number.isFinite(seconds)) return String(seconds);
  const whole = Math.round(seconds);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (whole < 60) return `${shortNumber(Number(seconds.toPrecision(2)))} s`;
  return h ? `${h} h ${String(m).padStart(2, "0")} min` : `${m} min ${String(s).padStart(2, "0")} s`;
}

/** One array of numbers, decoded when it is first drawn: by its place among those of the page, or as it was fetched. */
const decoded = new Map();
function numbers(place) {
  if (typeof place === "object") return (place.numbers ??= unpacked(place.packed));
  if (!decoded.has(place)) decoded.set(place, unpacked(data.arrays[place]));
  return decoded.get(place);
}

function unpacked(packed) {
  const text = atob(packed.slice(1));
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i += 1) bytes[i] = text.charCodeAt(i);
  const Type = { f: Float32Array, d: Float64Array, i: Int32Array }[packed[0]];
  return Type ? new Type(bytes.buffer) : fromSteps(bytes, packed[0] === "1" ? Uint8Array : Uint16Array);
}

/** Return numbers that never decrease: packed are the first, a unit, and each one's distance to the one before in units. */
function fromSteps(bytes, Type) {
  let [value, unit] = new Float64Array(bytes.buffer, 0, 2);
  const steps = new Type(bytes.buffer, 16);
  const found = new Float64Array(steps.length);
  for (let i = 0; i < steps.length; i += 1) found[i] = value += unit * steps[i];
  return found;
}

/** Sort texts, those of numbers by size. */
const sortedTexts = (texts) => [...texts].sort((a, b) => Number(a) - Number(b) || (a < b ? -1 : a > b ? 1 : 0));

/** Return up to `most` of the numbers below `count`, evenly, with both ends. */
const spread = (count, most) =>
  count <= most
    ? [...Array(count).keys()]
    : [...Array(most).keys()].map((i) => Math.round((i * (count - 1)) / (most - 1)));

/** Return the smallest and the largest of any number of numbers. */
function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (let i = 0; i < values.length; i += 1) {
    low = Math.min(low, values[i]); // NaN, where one is that
    high = Math.max(high, values[i]);
  }
  return [low, high];
}

/** Return the same of those that are finite. */
function finiteExtent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (let i = 0; i < values.length; i += 1) {
    const value = values[i];
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

/** Return whether numbers ask for a logarithmic axis, as learning rates do. */
function spansOrders(values) {
  const [low, high] = extent(values);
  return low > 0 && high / low >= 50;
}

// ---- What is worked out of the data: all of it is done anew when there is other data ----

let columns = []; // of the table
let runColumns = []; // of the experiments; the same where a row is an experiment
let columnsByName = new Map();
let runColumnsByName = new Map();
let rowsOfRun = []; // for each run the rows that it is in
let sharedFolder = "";
let hasSeeds = false;

function readData() {
  decoded.clear();
  runColumns = columnsOf(data.runs);
  columns = data.table ? columnsOf(data.table) : runColumns;
  [columnsByName, runColumnsByName] = [columns, runColumns].map((found) => new Map(found.map((one) => [one.name, one])));
  rowsOfRun = data.ids.map(() => []);
  data.members.forEach((runs, row) => runs.forEach((run) => rowsOfRun[run].push(row)));
  sharedFolder = foldersOfAll(data.ids);
  hasSeeds = new Set(data.groups).size < data.ids.length;
}

/** A column of a table. What is worked out of its cells is worked out when somebody asks, and once. */
class Column {
  #rows;
  #values = null;
  #found = {};

  constructor(table, index) {
    Object.assign(this, table.columns[index]); // name, kind, hidden, replicate
    this.index = index;
    this.#rows = table.rows;
    this.turn();
  }

  /** Learn which way its values are better, where one knows. */
  turn() {
    this.direction = Object.hasOwn(data.directions, this.name) ? data.directions[this.name] : null;
    delete this.#found.best;
  }

  get values() {
    return (this.#values ??= this.#rows.map((row) => row[this.index]));
  }

  /** How often each text of a value is there. */
  get counts() {
    return this.#once("counts", () => {
      const counts = new Map();
      for (const value of this.values) if (value !== null) counts.set(exactText(value), (counts.get(exactText(value)) ?? 0) + 1);
      return counts;
    });
  }

  get distinct() {
    return this.#once("distinct", () => [...this.counts.keys()]);
  }

  get numeric() {
    return this.#once("numeric", () => this.isFilled && this.values.every((value) => value === null || isNumber(value)));
  }

  get isFilled() {
    return this.#once("isFilled", () => this.values.some((value) => value !== null));
  }

  get hasGaps() {
    return this.#once("hasGaps", () => this.values.includes(null));
  }

  /** Whether there are two different values, without counting all. */
  get isVaried() {
    return this.#once("isVaried", () => this.#someDistinct(2) > 1);
  }

  /** Whether there are so few that they can be listed. */
  get isFew() {
    return this.#once("isFew", () => this.#someDistinct(MOST_LISTED + 1) <= MOST_LISTED);
  }

  /** The rows with the best value. */
  get best() {
    return this.#once("best", () => bestRows(this));
  }

  /** Learn that cells of some rows are others now; of none: that other rows count. */
  changed(rows) {
    if (this.#values) for (const row of rows) this.#values[row] = this.#rows[row][this.index];
    if (rows.length) this.#found = {};
    else delete this.#found.best;
  }

  /** Learn that there are more rows. */
  grown() {
    this.#values = null;
    this.#found = {};
  }

  #someDistinct(most) {
    const seenTexts = new Set();
    for (const value of this.values) {
      if (value !== null) seenTexts.add(exactText(value));
      if (seenTexts.size >= most) break;
    }
    return seenTexts.size;
  }

  #once(name, work) {
    if (!(name in this.#found)) this.#found[name] = work();
    return this.#found[name];
  }
}

const MOST_LISTED = 30; // values of a column that a filter offers one by one
const columnsOf = (table) => table.columns.map((_, index) => new Column(table, index));

const rowCount = () => data.members.length;
const columnNamed = (name) => columnsByName.get(name);
const runColumnNamed = (name) => runColumnsByName.get(name);
const overrides = () => columns.filter((column) => column.kind === "override");
const metricColumns = () => columns.filter((column) => column.kind === "metric" && column.numeric);
const valueOf = (name, row) => columnNamed(name)?.values[row] ?? null;
const runValueOf = (name, run) => runColumnNamed(name)?.values[run] ?? null;

/** Return the folders that all names share, which are left out where there is little room. */
function foldersOfAll(ids) {
  if (ids.length < 2) return "";
  let prefix = ids[0];
  for (const id of ids) while (prefix && !id.startsWith(prefix)) prefix = prefix.slice(0, prefix.lastIndexOf("/", prefix.length - 2) + 1);
  return prefix.slice(0, prefix.lastIndexOf("/") + 1);
}

// ---- Names ----

const shortId = (run) => data.ids[run].slice(sharedFolder.length);
const named = (column, value) => `${/[^.]*(\.\d+)*$/.exec(column.name)[0]}=${cut(exactText(value), 40)}`;

/** What tells experiments from others, in few words: the overrides that they share, seeds left out of a band's name. */
function runsLabel(runs) {
  const parts = runColumns
    .filter((column) => column.kind === "override" && (column.isVaried || (column.isFilled && column.hasGaps)))
    .filter((column) => column.values[runs[0]] !== null)
    .filter((column) => runs.every((run) => column.values[run] === column.values[runs[0]]))
    .map((column) => named(column, column.values[runs[0]]));
  return parts.join(" ") || (runs.length === 1 ? shortId(runs[0]) : seedsText(runs));
}

/** What runs are that share no override: seeds of one config, or whatever makes them replicates. */
function seedsText(runs) {
  const names = runColumns.filter((column) => column.replicate && column.isVaried).map(({ name }) => name);
  const what = names.length === 1 ? `${/[^.]*$/.exec(names[0])[0]}s` : "replicates";
  return `${runs.length === data.ids.length ? "all" : runs.length} ${what}`;
}

/** What tells a row from the others. */
function rowLabel(row) {
  const runs = data.members[row];
  if (!data.table || runs.length === 1) return runsLabel(runs);
  const parts = overrides()
    .filter((column) => column.values[row] !== null)
    .map((column) => named(column, column.values[row]));
  return parts.join(" ") || (runs.length ? runsLabel(runs) : `row ${row + 1}`);
}

/** What a row is known by when there is other data. */
const keyOf = (row) => data.ids[data.members[row][0]] ?? `row ${row + 1}`;

/** Where an experiment is, in short. */
const idsText = (runs) => shortId(runs[0]) + (runs.length > 1 ? ` and ${runs.length - 1} more` : "");

// ---- Which rows count, and which is best ----

const isMean = () => data.spread !== null;
const rowCounts = (row) => data.members[row].some((run) => data.counts[run]);

/** Return the best rows by a column of the table: none where nobody knows which way is better, or nothing counts. */
function bestRows(column) {
  if (!column?.direction || !column.numeric) return new Set();
  const { values, direction } = column;
  let [best, rows] = [direction === "min" ? Infinity : -Infinity, []];
  values.forEach((value, row) => {
    const number = value === null ? NaN : asNumber(value);
    if (!Number.isFinite(number) || (direction === "min" ? number > best : number < best) || !rowCounts(row)) return;
    if (number !== best) [best, rows] = [number, []];
    rows.push(row);
  });
  return new Set(rows);
}

const MARKS = ["excluded", "note", "stale", "mixed", "problem", "diverged"];

/** Return whether there are marks at all. */
const hasMarks = () =>
  [...new Set([...columns, ...runColumns])].some(({ name, values }) =>
    name === "code"
      ? values.some((value) => /^\d+ versions$/.test(exactText(value)))
      : MARKS.includes(name) && values.some((value) => value !== null && value !== "" && value !== "false"),
  );

/** What is to be known of a row before its numbers are believed: [short, long] each. */
function marksOf(row) {
  const marks = [];
  const runs = data.members[row];
  // Also where the columns that say it weren't asked for.
  const told = (name) => exactText(valueOf(name, row) ?? (runs.length === 1 ? runValueOf(name, runs[0]) : null));
  const code = told("code");
  if (/^\d+ versions$/.test(code)) marks.push([`code ${code}`, `made by ${code} of the code or its packages`]);
  for (const name of MARKS) {
    const text = told(name);
    if (text && text !== "false") marks.push([name, text === "true" ? "left out of means and of the best" : text]);
  }
  return marks;
}

/** Return of how many versions of the code and its packages experiments are, as far as is known. */
function versionsOf(runs) {
  const packages = new Map(); // of each version of the code
  for (const run of runs) {
    const code = exactText(runValueOf("code", run));
    if (!packages.has(code)) packages.set(code, new Set());
    if (data.packages[run] !== null) packages.get(code).add(data.packages[run]);
  }
  return [...packages.values()].reduce((sum, { size }) => sum + Math.max(size, 1), 0);
}

// ---- State: what the table shows, in its order, and what is chosen ----

let shownRows = [];
let chosen = new Set(); // rows
let lastChosen = null; // a row
let lastRun = null; // which of its experiments is told about

/** Draw each changed part once, before the next frame. */
const pending = new Set();
function redraw(...parts) {
  if (!pending.size) requestAnimationFrame(drawPending);
  parts.forEach((part) => pending.add(part));
}

function drawPending() {
  const parts = [...pending];
  pending.clear(); // before: what asks for more while it is drawn, or fails, keeps no later frame from being drawn
  parts.forEach((part) => part());
}
