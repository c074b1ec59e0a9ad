// The data that page.py put into the page, and values as texts; every part of the page reads them here.
// Texts from data reach the page through textContent only, and Plotly through plotText.

const data = JSON.parse(document.getElementById("data").textContent);
const rowCount = data.ids.length;
const byId = (id) => document.getElementById(id);

/** Make an element; strings among the children become text, never markup. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** Escape what Plotly would take for its pseudo-HTML, or for a template's placeholder. */
const plotText = (text) =>
  text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/%\{/g, "%&#123;");

/** Cut a long text in its middle, where names differ least. */
const cut = (text, length) =>
  text.length <= length ? text : `${text.slice(0, length / 2)}…${text.slice(-length / 2)}`;

// ---- Values: text, a number, null for none, or [text] for a number that JSON can't hold ----

const isNumber = (value) => typeof value === "number" || Array.isArray(value);
const asNumber = (value) => (Array.isArray(value) ? Number(value[0]) : value);
const exactText = (value) => (value === null ? "" : Array.isArray(value) ? value[0] : String(value));

function shortNumber(value) {
  if (Array.isArray(value)) return value[0];
  return Number.isInteger(value) && Math.abs(value) < 1e15 ? String(value) : String(Number(value.toPrecision(5)));
}

function duration(seconds) {
  if (!Number.isFinite(seconds)) return String(seconds);
  const whole = Math.round(seconds);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (whole < 60) return `${shortNumber(Number(seconds.toPrecision(2)))} s`;
  return h ? `${h} h ${String(m).padStart(2, "0")} min` : `${m} min ${String(s).padStart(2, "0")} s`;
}

/** One array of numbers, decoded when it is first drawn. */
const decoded = new Map();
function numbers(index) {
  if (!decoded.has(index)) {
    const packed = data.arrays[index];
    const bytes = Uint8Array.from(atob(packed.slice(1)), (c) => c.charCodeAt(0));
    const Type = { f: Float32Array, d: Float64Array, i: Int32Array }[packed[0]];
    decoded.set(index, Type ? new Type(bytes.buffer) : fromSteps(bytes, packed[0] === "1" ? Uint8Array : Uint16Array));
  }
  return decoded.get(index);
}

/** Return numbers that never decrease: packed are the first, a unit, and each one's distance to the one before in units. */
function fromSteps(bytes, Type) {
  let [value, unit] = new Float64Array(bytes.buffer, 0, 2);
  return Float64Array.from(new Type(bytes.buffer, 16), (steps) => (value += unit * steps));
}

/** Sort texts, those of numbers by size. */
const sortedTexts = (texts) => [...texts].sort((a, b) => Number(a) - Number(b) || (a < b ? -1 : a > b ? 1 : 0));

/** Return up to `most` of the numbers below `count`, evenly, with both ends. */
const spread = (count, most) =>
  count <= most
    ? [...Array(count).keys()]
    : [...Array(most).keys()].map((i) => Math.round((i * (count - 1)) / (most - 1)));

/** Return the smallest and the largest of any number of numbers. */
const extent = (values) =>
  values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);

/** Return whether numbers ask for a logarithmic axis, as learning rates do. */
function spansOrders(values) {
  const [low, high] = extent(values);
  return low > 0 && high / low >= 50;
}

// ---- Columns ----

const columns = data.columns.map((column, index) => {
  const values = data.rows.map((row) => row[index]);
  const filled = values.filter((value) => value !== null);
  const distinct = [...new Set(filled.map(exactText))];
  return {
    ...column,
    index,
    values,
    distinct,
    numeric: filled.length > 0 && filled.every(isNumber),
  };
});
const columnNamed = (name) => columns.find((column) => column.name === name);
const overrides = columns.filter((column) => column.kind === "override");
const metricColumns = columns.filter((column) => column.kind === "metric" && column.numeric);
const statusColumn = columns.find((column) => column.kind === "status");

/** The folders that all exp ids share are left out where there is little room. */
const shared = (() => {
  if (rowCount < 2) return "";
  let prefix = data.ids[0];
  for (const id of data.ids) while (!id.startsWith(prefix)) prefix = prefix.slice(0, -1);
  return prefix.slice(0, prefix.lastIndexOf("/") + 1);
})();
const shortId = (row) => data.ids[row].slice(shared.length);

/** What tells an experiment from the others, in few words; seeds are left out of a band's name. */
function label(row, members = [row]) {
  const parts = overrides
    .filter((column) => column.values[row] !== null && members.every((m) => column.values[m] === column.values[row]))
    .map((column) => `${column.name.split(".").pop()}=${cut(exactText(column.values[row]), 40)}`);
  return parts.join(" ") || shortId(row);
}

const hasSeeds = new Set(data.groups).size < rowCount;

/** What a plot tells about an experiment when one points at it. */
const hoverTexts = (row) => [plotText(cut(label(row), 90)), plotText(cut(shortId(row), 70))];

// ---- State: what the table shows, in its order, and what is chosen ----

let shownRows = [...Array(rowCount).keys()];
let chosen = new Set();
let lastChosen = null;

/** Draw each changed part once, before the next frame. */
const pending = new Set();
function redraw(...parts) {
  if (!pending.size) requestAnimationFrame(() => [...pending].forEach((part) => (pending.delete(part), part())));
  parts.forEach((part) => pending.add(part));
}
