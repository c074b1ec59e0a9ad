// Which rows the table shows: by words, by statuses and why they are so, and by what is wanted of columns. All of it is
// kept in the address, and each filter that is on is named, and taken off by itself.

const searchBox = () => byId("find");
let filterTests = []; // row -> whether it fits
const [FEW_ROWS, TYPING] = [1000, 150]; // of more, rows are looked for once a typing hand rests for so many milliseconds
let typing = null; // the timer
let haystacks = []; // of each row what its words are searched in, made when they are first

/** Learn from the address which filters are on; the data they are about may be new. */
function readFilters() {
  filterTests = [];
  const words = wordsOf(seen("search") ?? "");
  if (words.length) filterTests.push((row) => words.every(({ text, isOut }) => haystack(row).includes(text) !== isOut));
  const [on, why] = [new Set(seenAll("status")), new Set(seenAll("why"))];
  const [statuses, reasons] = ["status", "reason"].map((name) => runColumnNamed(name)?.values ?? []);
  const ofRuns = (test) => filterTests.push((row) => data.members[row].some(test));
  if (on.size) ofRuns((run) => on.has(exactText(statuses[run] ?? null)));
  if (why.size) ofRuns((run) => why.has(kindOf(exactText(reasons[run] ?? null))));
  for (const { column, wanted } of wantedOfColumns()) filterTests.push(columnTest(column, wanted));
}

/** Show the rows that fit. */
function applyFilters() {
  readFilters();
  const fits = (_, { row }) => filterTests.every((test) => test(row));
  table.search.fixed("heyhi", filterTests.length ? fits : null);
  inPlace(() => table.draw());
  showFilters();
}

/** Part what is searched: words, each of which must be there, "some words" as they are, and !words that must not. */
function wordsOf(text) {
  return [...text.toLowerCase().matchAll(/(!?)(?:"([^"]+)"?|(\S+))/g)].map(([, not, quoted, word]) => ({
    text: quoted ?? word,
    isOut: not === "!",
  }));
}

/** What is searched of a row: where it is, its overrides, its status and why, and what else is said of it in words. */
function haystack(row) {
  return (haystacks[row] ??= textsOf(row).join("\n").toLowerCase());
}

const SEARCHED = new Set(["id", "status", "override", "fact"]);

function* textsOfColumns(found, place) {
  for (const { name, kind, values } of found) {
    const value = values[place];
    if (value === null || value === undefined || !SEARCHED.has(kind)) continue;
    yield kind === "override" ? `${name}=${exactText(value)}` : exactText(value);
  }
}

const textsOf = (row) => [
  ...textsOfColumns(columns, row),
  ...(data.table ? data.members[row].flatMap((run) => [data.ids[run], exactText(runValueOf("status", run))]) : []),
];

// ---- What is wanted of columns: [name, [values]], [name, from, to] with null for no bound, or [name, "text"] ----

/** Return what the address wants of columns that are there. */
function wantedOfColumns() {
  const found = seenAll("only").map(parsed).filter(Array.isArray);
  return found
    .map(([name, ...wanted]) => ({ column: columnNamed(name), wanted }))
    .filter(({ column, wanted }) => column && (isRange(wanted) || Array.isArray(wanted[0]) || typeof wanted[0] === "string"));
}

const isBound = (value) => value === null || (typeof value === "number" && Number.isFinite(value));
const isRange = (wanted) => wanted.length === 2 && wanted.every(isBound);

function columnTest(column, [first, last]) {
  if (Array.isArray(first)) {
    const among = new Set(first.map(String));
    return (row) => among.has(exactText(column.values[row]));
  }
  if (typeof first === "string") {
    const text = first.toLowerCase();
    return (row) => exactText(column.values[row]).toLowerCase().includes(text);
  }
  return (row) => {
    const value = column.values[row];
    const number = value === null ? NaN : asNumber(value);
    return (first === null || number >= first) && (last === null || number <= last) && !Number.isNaN(Number(number));
  };
}

function wantedText(name, [first, last]) {
  const short = cut(name, 40);
  if (Array.isArray(first)) return `${short}: ${cut(first.map((value) => value || "–").join(", "), 60)}`;
  if (typeof first === "string") return `${short} has “${cut(first, 40)}”`;
  if (first === null) return `${short} ≤ ${last}`;
  return last === null ? `${short} ≥ ${first}` : `${short} ${first} – ${last}`;
}

/** Want something of a column, in place of what was wanted of it; null for nothing. */
function wantOfColumn(name, wanted) {
  const others = seenAll("only").filter((text) => parsed(text)?.[0] !== name);
  remember("only", wanted === null ? others : [...others, JSON.stringify([name, ...wanted])]);
  redraw(applyFilters);
}

// ---- The filters that are on ----

/** Return what is on: [text, what takes it off]. */
function filtersOn() {
  const without = (name, value) => () => remember(name, seenAll(name).filter((one) => one !== value));
  const found = seenAll("status").map((value) => [value, without("status", value)]);
  for (const kind of seenAll("why")) found.push([`why: ${cut(kind, 60)}`, without("why", kind)]);
  if (seen("search")) found.push([`“${cut(seen("search"), 40)}”`, () => (remember("search", null), (searchBox().value = ""))]);
  for (const { column, wanted } of wantedOfColumns())
    found.push([wantedText(column.name, wanted), () => wantOfColumn(column.name, null)]);
  for (const [name, logic, value] of seenAll("filter").map(parsed).filter(Array.isArray)) {
    const index = columns.findIndex((column) => column.name === name) + OWN_COLUMNS;
    if (index < OWN_COLUMNS) continue;
    const text = Array.isArray(logic) ? wantedText(name, [logic]) : `${cut(name, 40)} ${logic} ${cut(String(value), 40)}`;
    found.push([text, () => table.columns(index).columnControl.searchClear()]);
  }
  return found;
}

/** Name the filters that are on; each is a button that takes it off. */
function showFilters() {
  const bar = byId("filters");
  const focused = [...bar.children].indexOf(document.activeElement);
  const buttons = filtersOn().map(([text, takeOff]) => {
    const button = make("button", { type: "button", className: "chip filter" }, text, make("span", {}, " ×"));
    button.setAttribute("aria-label", `Take off the filter ${text}`);
    button.addEventListener("click", () => {
      takeOff();
      showStatuses();
      redraw(applyFilters);
    });
    return button;
  });
  if (buttons.map(({ textContent }) => textContent).join("\n") !== [...bar.children].map(({ textContent }) => textContent).join("\n")) {
    bar.replaceChildren(...buttons);
    if (focused >= 0) (bar.children[Math.min(focused, buttons.length - 1)] ?? searchBox()).focus();
  }
  bar.hidden = !buttons.length;
}

function clearFilters() {
  for (const name of ["status", "why", "search", "only"]) remember(name, null);
  searchBox().value = "";
  table.columns().search("");
  table.columns().columnControl.searchClear();
  if (byId("filter-menu").open) showFilterForm();
  showStatuses();
  applyFilters();
}

// ---- The menu that makes one ----

/** Offer the columns that tell rows apart, overrides first. */
function fillFilterColumns() {
  const order = ["override", "metric", "status", "fact", "duration", "time", "id"];
  const found = columns.filter((column) => order.includes(column.kind) && (column.isVaried || (column.isFilled && column.hasGaps)));
  found.sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
  const select = byId("filter-column");
  const before = select.value;
  select.replaceChildren(...found.map(({ name }) => make("option", { value: name }, nameText(name))));
  if (found.some(({ name }) => name === before)) select.value = before;
}

function showFilterForm() {
  const form = byId("filter-form");
  const column = columnNamed(byId("filter-column").value);
  if (!column) return form.replaceChildren(make("p", { className: "quiet" }, "All are alike."));
  const wanted = wantedOfColumns().find((one) => one.column === column)?.wanted ?? [];
  const inputs = !column.numeric && isListed(column) ? [] : textInputs(column, wanted);
  const boxes = isListed(column) ? valueBoxes(column, wanted) : [];
  form.replaceChildren(...inputs, ...boxes);
  form.oninput = (event) => {
    // By bounds, or by values: what is asked for last.
    if (event.target.type === "checkbox") inputs.forEach((label) => (label.querySelector("input").value = ""));
    else form.querySelectorAll("input:checked").forEach((input) => (input.checked = false));
    const on = [...form.querySelectorAll("input:checked")].map((input) => input.value);
    if (on.length) return wantOfColumn(column.name, [on]);
    const written = writtenIn(column, inputs.map((label) => label.querySelector("input")));
    return written === undefined ? undefined : wantOfColumn(column.name, written);
  };
  return undefined;
}

function textInputs(column, wanted) {
  return (column.numeric ? ["from", "to"] : ["has"]).map((word, place) => {
    const given = wanted[place];
    const value = given === null || given === undefined || Array.isArray(given) ? "" : String(given);
    const input = make("input", { type: "text", value, inputMode: column.numeric ? "decimal" : "text", autocomplete: "off" });
    if (column.numeric) input.placeholder = boundText(column, word);
    input.setAttribute("aria-label", `${column.name} ${word}`);
    return make("label", {}, `${word} `, input);
  });
}

/** Return what is wanted by fields: null for nothing, undefined while a number is being written. */
function writtenIn(column, inputs) {
  const texts = inputs.map((input) => input.value.trim());
  if (!column.numeric) return texts[0] ? texts : null;
  const bounds = texts.map((text) => (text === "" ? null : Number(text.replace(",", "."))));
  inputs.forEach((input, i) => input.setAttribute("aria-invalid", Number.isNaN(bounds[i])));
  if (bounds.some(Number.isNaN)) return undefined;
  return bounds.some((bound) => bound !== null) ? bounds : null;
}

function boundText(column, word) {
  const [low, high] = extent(column.values.filter((value) => value !== null).map(asNumber).filter(Number.isFinite));
  const bound = word === "from" ? low : high;
  return Number.isFinite(bound) ? shortNumber(bound) : "";
}

function valueBoxes(column, wanted) {
  const among = new Set(Array.isArray(wanted[0]) ? wanted[0].map(String) : []);
  const gaps = column.values.filter((value) => value === null).length;
  const texts = [...sortedTexts(column.distinct).map((text) => [text, column.counts.get(text)]), ...(gaps ? [["", gaps]] : [])];
  return texts.map(([text, count]) =>
    make(
      "label",
      { title: cut(text, 600) },
      make("input", { type: "checkbox", value: text, checked: among.has(text) }),
      ` ${cut(text, 60) || "–"} `,
      make("span", { className: "quiet" }, String(count)),
    ),
  );
}

function linkFilters() {
  searchBox().value = seen("search") ?? "";
  searchBox().addEventListener("input", () => {
    remember("search", searchBox().value || null);
    clearTimeout(typing);
    if (rowCount() <= FEW_ROWS) return redraw(applyFilters);
    typing = setTimeout(() => {
      typing = null;
      redraw(applyFilters);
    }, TYPING);
  });
  const menu = byId("filter-menu");
  linkMenu(menu);
  menu.addEventListener("toggle", () => {
    if (!menu.open) return;
    fillFilterColumns();
    showFilterForm();
  });
  byId("filter-column").addEventListener("input", showFilterForm);
}
