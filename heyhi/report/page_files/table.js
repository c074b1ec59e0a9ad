// The table, its filters, and what of them is kept in the address. DataTables draws it.

const NONE_FITS = "Nothing fits the filters";
const OWN_COLUMNS = 2; // the box and the marks stand before the columns of the data
const PAGE_LENGTH = 50;
let table = null;
let builtFor = "";

/** Show the rows: in the table that is there where only they are new, else in another one. */
function showTable() {
  const places = [...Array(rowCount()).keys()];
  haystacks = [];
  readFilters();
  const wanted = JSON.stringify([
    data.spread,
    columns.map((column) => [column.name, column.kind, column.numeric, isListed(column)]),
  ]);
  const [focused, scrolled] = [document.activeElement?.dataset?.row, scroller()?.scrollTop];
  if (table && wanted === builtFor) {
    table.clear().rows.add(entriesOf(places));
    table.search.fixed("heyhi", filterTests.length ? (_, { row }) => filterTests.every((test) => test(row)) : null);
    showColumns();
    table.draw(false);
    showFilters();
  } else {
    table?.destroy(true);
    table = null;
    makeTable(places);
  }
  builtFor = wanted;
  if (scrolled) scroller().scrollTop = scrolled;
  if (focused !== undefined) {
    byId("table").querySelector(`tbody tr[data-row="${Number(focused)}"]`)?.focus();
    reachOne();
  }
}

/** Show the columns that have something now, and offer their values of now where a filter lists them. */
function showColumns() {
  turnColumns();
  columns.forEach((column, place) => isListed(column) && offerValues(column, place));
}

function turnColumns() {
  findBlank();
  const turned = new Set(seenAll("column"));
  const wanted = [hasMarks(), ...columns.map((column) => isVisible(column, turned))];
  wanted.forEach((is, place) => {
    const column = table.column(place + 1);
    if (column.visible() !== is) column.visible(is, false);
  });
}

let blank = new Set(); // names of columns that have nothing in any row that fits the filters

/** Learn which columns are only of rows that filters leave out, such as those of another task. */
function findBlank() {
  const isFiltered = shownRows.length > 0 && shownRows.length < rowCount();
  const asked = new Set([...seenAll("only"), ...seenAll("filter")].map((text) => parsed(text)?.[0]));
  const isBlank = ({ name, values }) => !asked.has(name) && shownRows.every((row) => (values[row] ?? "") === "");
  blank = new Set(isFiltered ? columns.filter(isBlank).map(({ name }) => name) : []);
}

const isOnDemand = ({ name, hidden }) => hidden || blank.has(name);
const isVisible = (column, turned) => (isOnDemand(column) ? turned.has(`+${column.name}`) : !turned.has(`-${column.name}`));

/** Offer a column's values in the list of its filter, where they are others. */
function offerValues(column, place) {
  const options = listOptions(column);
  const text = JSON.stringify(options);
  if (offered[place] === text) return;
  offered[place] = text;
  const wanted = seenAll("filter").map(parsed).find((one) => Array.isArray(one?.[1]) && one[0] === column.name)?.[1] ?? [];
  const isGone = wanted.filter((value) => !options.some((option) => option.value === value));
  const all = [...options, ...isGone.map((value) => ({ value, label: escapeHtml(cut(value, 40)) }))];
  table.columns(place + OWN_COLUMNS).columnControl.searchList(all);
}

let offered = []; // of each column, as JSON

/** Put new experiments at the end. */
function addRows(from) {
  const places = [...Array(rowCount()).keys()].slice(from);
  table.rows.add(entriesOf(places));
}

/** Do what draws the table's rows anew; the focus, what is marked and where it is scrolled to stay. */
function inPlace(work) {
  const [focused, scrolled, marked] = [document.activeElement, scroller()?.scrollTop, getSelection()];
  const [anchor, focus] = [
    [marked.anchorNode, marked.anchorOffset],
    [marked.focusNode, marked.focusOffset],
  ];
  const isMarked = !marked.isCollapsed && byId("table").contains(anchor[0]) && byId("table").contains(focus[0]);
  work();
  if (scrolled) scroller().scrollTop = scrolled;
  if (focused !== document.activeElement && focused?.isConnected) {
    focused.focus({ preventScroll: true });
    reachOne();
  }
  if (isMarked && anchor[0].isConnected && focus[0].isConnected) marked.setBaseAndExtent(...anchor, ...focus);
}

/** Show other cells of some rows, and no more: order and filters are gone through only where they depend on them. */
function refreshRows({ runs, names, isCounted, best }) {
  const touched = columns.filter(({ name }) => names.has(name));
  const isSearched = touched.some(({ kind }) => SEARCHED.has(kind));
  if (isSearched) runs.forEach((row) => delete haystacks[row]);
  const drawn = new Map([...byId("table").querySelectorAll("tbody tr[data-row]")].map((tr) => [Number(tr.dataset.row), tr]));
  const others = runs.filter((row) => !drawn.has(row));
  if (others.length) table.rows(others).invalidate();
  const isMarking = touched.some(({ name }) => MARKS.includes(name) || name === "code");
  for (const row of runs) {
    if (!drawn.has(row)) continue;
    for (const { index } of touched) table.cell(row, index + OWN_COLUMNS).invalidate();
    if (isMarking) table.cell(row, 1).invalidate();
  }
  showBest(drawn, best, touched, isCounted);
  if (touched.length) showColumns();
  const sorted = table.order().some(([index]) => names.has(nameAt(index)));
  const isNew = table.rows().count() !== table.page.info().recordsTotal;
  if (sorted || isNew || dependsOn(names, isSearched)) {
    readFilters();
    inPlace(() => table.draw(false));
  } else if (touched.length || isCounted) colourBoxes();
  showFilters();
}

/** Return whether a filter that is on asks for what is in some columns. */
function dependsOn(names, isSearched) {
  const wanted = [...seenAll("only"), ...seenAll("filter")].map((text) => parsed(text)?.[0]);
  return (
    (isSearched && seen("search") !== null) ||
    (names.has("status") && seen("status") !== null) ||
    (names.has("reason") && seen("why") !== null) ||
    wanted.some((name) => names.has(name))
  );
}

/** Mark the cells that are the best now, and no longer those that were. */
function showBest(drawn, before, touched, isCounted) {
  for (const [column, was] of before) {
    if (!isCounted && !touched.includes(column)) continue;
    for (const row of new Set([...was, ...column.best]))
      if (drawn.has(row) && was.has(row) !== column.best.has(row)) table.cell(row, column.index + OWN_COLUMNS).invalidate();
  }
}

const scroller = () => byId("table")?.closest(".dt-layout-cell");

function makeTable(places) {
  const element = make("table", { id: "table", className: "compact nowrap hover row-border" });
  byId("find-bar").after(element);
  const head = make("tr", {}, make("th", { "aria-label": "Chosen" }), make("th", { scope: "col" }, "marks"));
  for (const column of columns) {
    const title = column.kind === "override" ? "override" : column.kind === "metric" ? meaningOf(column, metricTitle(column)) : "";
    head.append(make("th", { scope: "col", title }, headingOf(column)));
  }
  element.append(make("thead", {}, head));
  element.setAttribute("aria-label", "Experiments");
  const state = tableState(places);
  offered = columns.map((column) => (isListed(column) ? JSON.stringify(listOptions(column)) : ""));
  shownRows = places;
  table = new DataTable("#table", {
    data: entriesOf(places),
    columns: [
      {
        data: ({ row }) => row,
        orderable: false,
        searchable: false,
        className: "box",
        render: (row, type) => (type === "display" ? box(row) : ""),
        columnControl: [],
      },
      {
        data: ({ row }) => row,
        visible: hasMarks(),
        className: "marks",
        type: "string",
        render: (row, type) => (type === "display" ? marksElement(row) : marksOf(row).flat().join(" ")),
        columnControl: [],
      },
      ...columns.map(columnOptions),
    ],
    order: [],
    autoWidth: false,
    deferRender: true,
    pageLength: PAGE_LENGTH,
    lengthMenu: [20, 50, 200, { label: "all", value: -1 }],
    select: { style: "os", info: false },
    stateSave: true,
    stateDuration: 0,
    stateSaveCallback: (_, found) => keepTable(found),
    stateLoadCallback: () => state,
    layout: {
      topStart: null,
      topEnd: {
        buttons: [
          {
            ...{ extend: "colvis", text: "Columns", columns: ":gt(1)", background: false, fade: 0 },
            columnText: (_, i) => escapeHtml(nameAt(i) ?? ""),
          },
          { text: "Clear filters", action: clearFilters },
        ],
      },
      bottomStart: ["info", "pageLength"],
      bottomEnd: "paging",
    },
    language: {
      info: "_START_–_END_ of _TOTAL_",
      infoEmpty: data.table ? "no row" : "no experiment",
      infoFiltered: "(_MAX_ in all)",
      lengthMenu: "_MENU_ a page",
      emptyTable: escapeHtml(noneText()),
      zeroRecords: NONE_FITS,
    },
    createdRow: (tr, { row }) => {
      tr.tabIndex = -1;
      tr.dataset.row = row;
      tr.setAttribute("aria-selected", chosen.has(row));
    },
  });
  element.setAttribute("role", "grid");
  element.setAttribute("aria-multiselectable", "true");
  linkTable(element);
}

const entriesOf = (places) => places.map((row) => ({ row }));
const nameAt = (index) => columns[index - OWN_COLUMNS]?.name;
const metricTitle = (column) =>
  column.direction ? `metric, better when ${column.direction === "min" ? "smaller" : "larger"}` : "metric";

/** Let Tab reach one row: the one that has the focus, else the first; arrows lead to the others. */
function reachOne() {
  const rows = [...byId("table").querySelectorAll("tbody tr[data-row]")];
  const reached = rows.find((tr) => tr === document.activeElement) ?? rows[0];
  rows.forEach((tr) => (tr.tabIndex = tr === reached ? 0 : -1));
}

const box = (row) => {
  const element = make("input", { type: "checkbox", className: "choose", tabIndex: -1, checked: chosen.has(row) });
  element.setAttribute("aria-label", `Choose ${data.members[row].length === 1 ? keyOf(row) : rowLabel(row)}`);
  return make("span", { className: "choice" }, element);
};

/** Show at each row which colour it is drawn in, whether it is chosen, and which are the best. */
function colourBoxes() {
  if (!table) return;
  const objective = columnNamed(byId("scatter-y").value);
  const best = objective?.best ?? new Set();
  for (const tr of byId("table").querySelectorAll("tbody tr[data-row]")) {
    const row = Number(tr.dataset.row);
    const element = tr.querySelector(".choose");
    const color = curveColours.get(row);
    element.style.setProperty("--colour", color ?? "transparent");
    element.classList.toggle("drawn", color !== undefined);
    element.checked = chosen.has(row);
    tr.classList.toggle("best-row", best.has(row));
    tr.querySelector(".choice .star")?.remove();
    if (best.has(row)) element.after(star(objective));
  }
}

// ---- What the address keeps of the table ----

/** Keep how the table is sorted, searched and turned, as far as that isn't what a new page has. */
function keepTable(state) {
  if (!table) return; // it is being made
  const names = state.order.map(([index, way]) => [nameAt(index), way]).filter(([name, way]) => name && way);
  remember("sort", names.length ? JSON.stringify(names.map(([name, way]) => (way === "desc" ? `-${name}` : name))) : null);
  remember("page", state.start > 0 && state.length > 0 ? String(state.start / state.length + 1) : null);
  remember("length", state.length === PAGE_LENGTH ? null : String(state.length));
  const before = new Set(seenAll("column"));
  const turned = state.columns.flatMap(({ visible }, i) => {
    const column = columns[i - OWN_COLUMNS];
    if (!column) return [];
    const turn = (visible ? "+" : "-") + column.name;
    // What somebody has shown or hidden stays so, whichever filters come and go.
    return visible === isOnDemand(column) || (!column.hidden && before.has(turn)) ? [turn] : [];
  });
  remember("column", turned);
  const filters = Object.entries(state.columnControl ?? {}).flatMap(([index, { searchInput, searchList }]) => {
    const name = nameAt(index);
    if (name === undefined) return [];
    if (searchList?.length) return [JSON.stringify([name, searchList])];
    return searchInput && searchInput.value !== "" ? [JSON.stringify([name, searchInput.logic, searchInput.value])] : [];
  });
  if (filters.join("\n") === seenAll("filter").join("\n")) return;
  remember("filter", filters);
  redraw(showFilters);
}

/** Return a text of the address as JSON, or nothing where somebody has cut it. */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Return the state that the address asks for, as DataTables keeps it; columns that are gone are left out. */
function tableState(places) {
  const indexOf = (name) => columns.findIndex((column) => column.name === name) + OWN_COLUMNS;
  const length = Number(seen("length") ?? PAGE_LENGTH);
  const sort = parsed(seen("sort")) ?? [];
  const keys = (Array.isArray(sort) ? sort : []).map(String).map((key) => {
    // A name may itself begin with a minus.
    const down = key.startsWith("-") && indexOf(key) < OWN_COLUMNS;
    return [indexOf(down ? key.slice(1) : key), down ? "desc" : "asc"];
  });
  const turned = new Set(seenAll("column"));
  const own = [{ visible: true }, { visible: hasMarks() }];
  const controls = {};
  for (const filter of seenAll("filter").map(parsed).filter(Array.isArray)) {
    const [name, logic, value] = filter;
    if (indexOf(name) < OWN_COLUMNS) continue;
    const isList = isListed(columns[indexOf(name) - OWN_COLUMNS]);
    if (isList && Array.isArray(logic)) controls[indexOf(name)] = { searchList: logic.map(String) };
    if (!isList && typeof logic === "string") controls[indexOf(name)] = { searchInput: { logic, value: String(value) } };
  }
  const known = Number.isInteger(length) && (length > 0 || length === -1) ? length : PAGE_LENGTH;
  const page = Math.max(Number.parseInt(seen("page") ?? "1", 10) || 1, 1);
  return {
    time: Date.now(),
    start: known > 0 ? Math.min((page - 1) * known, Math.floor(Math.max(places.length - 1, 0) / known) * known) : 0,
    length: known,
    order: keys.filter(([index]) => index >= OWN_COLUMNS),
    search: { search: "", smart: true, regex: false, caseInsensitive: true },
    columns: [
      ...own,
      ...columns.map((column) => ({ visible: isVisible(column, turned) })),
    ],
    columnControl: controls,
  };
}
