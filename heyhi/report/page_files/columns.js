// How a column of the table is headed, shown, sorted and filtered.

const BLANK_LAST = (sign) => (a, b) => {
  const rank = (value) => (value === null || value === "" ? 2 : Number.isNaN(value) ? 1 : 0);
  return rank(a) - rank(b) || (rank(a) ? 0 : sign * (a < b ? -1 : a > b ? 1 : 0));
};
DataTable.type("blank-last", {
  detect: () => false,
  className: "number",
  order: { asc: BLANK_LAST(1), desc: BLANK_LAST(-1) },
});

const directionName = (column) => (column.direction === "min" ? "smallest" : "largest");

/** What stands over a column: of means also what stands beside them. */
const headingOf = (column) =>
  isMean() && columnNamed(`${column.name}.${data.spread}`) ? `${column.name} ± ${data.spread}` : column.name;

/** Return what a column holds, in words: of a pivot which metric its cells are of. */
const meaningOf = (column, name) => (data.pivot && column.kind === "metric" ? `${data.pivot[2]} · ${name}` : name);

/** Return what a cell says, as text. */
function cellText(column, row) {
  const value = column.values[row];
  if (value === null) return "";
  if (column.kind === "time" && isNumber(value)) return new Date(1000 * asNumber(value)).toLocaleString();
  if (column.kind === "duration" && isNumber(value)) return duration(asNumber(value));
  if (column.name === "reason") return withLocalTimes(exactText(value));
  if (!column.numeric) return exactText(value);
  if (!isMean() || column.kind === "part") return shortNumber(value);
  const error = valueOf(`${column.name}.${data.spread}`, row);
  const [count, wanted] = [valueOf(`${column.name}.n`, row) ?? valueOf("n", row), valueOf("wanted", row)];
  return column.kind === "metric" ? meanText(value, error, count, wanted) : shortNumber(value);
}

const status = (value) => make("span", { className: "status" }, swatch(statusColour(value)), value);
const link = (address, text) => make("a", { href: address, target: "_blank", rel: "noopener" }, text);
const mark = (text, title) => make("span", { className: "mark", title: cut(title, 600) }, text);
const star = (column) =>
  make("span", { className: "star", title: `best ${column.name} (${directionName(column)})`, role: "img" }, "★");

/** Show a cell; what is shown is an element, so that no text is markup. */
function cellElement(column, row) {
  const value = column.values[row];
  if (value === null) return make("span");
  if (column.kind === "status") return status(exactText(value));
  if (column.kind === "id") {
    const [run] = data.members[row];
    const [text, digest] = partedId(run === undefined ? exactText(value) : shortId(run));
    return make("span", { className: "id", title: exactText(value) }, text, make("span", { className: "digest" }, digest));
  }
  const folder = column.kind === "folder" && data.details[data.members[row][0]]?.folder;
  if (folder) return link(folder, "open");
  const text = cellText(column, row);
  const element = make("span", { title: exactText(value), className: column.numeric ? "" : "text" }, text);
  if (column.best.has(row)) {
    element.classList.add("best");
    element.title += ` · best of the column (${directionName(column)})`;
  }
  return element;
}

/** Part an id: what a person tells it by, and the digits at its end. */
const partedId = (id) => [id.replace(DIGEST, ""), DIGEST.exec(id)?.[0] ?? ""];
const DIGEST = /(?<=.)_[0-9a-f]{16}$/;

const marksElement = (row) =>
  make("span", { className: "marks" }, ...marksOf(row).map(([text, title]) => mark(text, title)));

/** Return a column's filter: a list of its values, a comparison of numbers, or a search. */
function filterOf(column) {
  if (isListed(column)) {
    return { extend: "searchList", options: listOptions(column) };
  }
  return column.numeric ? { extend: "searchNumber", excludeLogic: ["empty", "notEmpty"] } : "searchText";
}

const isListed = (column) => column.kind !== "id" && (!column.numeric || column.kind === "override") && column.isFew;

function listOptions(column) {
  const sorted = sortedTexts(column.distinct);
  if (column.hasGaps) sorted.push("");
  return sorted.map((value) => ({ value, label: escapeHtml(cut(value, 40) || "–") }));
}

/** Return how DataTables is to treat a column. */
function columnOptions(column) {
  const now = () => columns[column.index]; // the data may have been replaced since
  // To a number filter a blank is no number: it would take an empty text for less than any.
  const blank = column.numeric && !isListed(column) ? "–" : "";
  return {
    data: ({ row }) => now().values[row],
    visible: !column.hidden,
    type: column.numeric ? "blank-last" : "string",
    className: `${column.kind}${column.numeric ? " number" : ""}`,
    render: (value, type, { row }) => {
      if (type === "display") return cellElement(now(), row);
      if (type === "sort" || type === "type")
        return column.numeric ? (value === null ? null : asNumber(value)) : exactText(value);
      return value === null ? blank : filterText(exactText(value));
    },
    columnControl: [
      { extend: "dropdown", icon: "search", text: escapeHtml(`Filter ${column.name}`), content: [filterOf(column)] },
    ],
  };
}

/** Write a text so that DataTables, which takes what has an & for markup when it searches, searches for the text. */
const filterText = (text) => (text.includes("&") ? markupOf(text) : text);

/** Escape what goes where a library takes markup only. */
const escapeHtml = (text) => markupOf(readable(text));

function markupOf(text) {
  const element = make("span");
  element.textContent = text;
  return element.innerHTML;
}
