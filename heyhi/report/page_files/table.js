// The table, its filters, and what of them is kept in the address. DataTables draws it.

const OWN_COLUMNS = 2; // the box and the marks stand before the columns of the data
const PAGE_LENGTH = 50;
let table = null;
let builtFor = "";

/** Show the rows: in the table that is there where only they are new, else in another one. */
function showTable() {
  readBest();
  const places = [...Array(rowCount()).keys()];
  const wanted = JSON.stringify([
    places.some((row) => marksOf(row).length),
    data.spread,
    columns.map((column) => [column.name, column.kind, column.hidden, column.numeric, isListed(column) && column.distinct]),
  ]);
  const [focused, scrolled] = [document.activeElement?.dataset?.row, scroller()?.scrollTop];
  if (table && wanted === builtFor) {
    table.clear().rows.add(entriesOf(places)).draw(false);
    searchStatuses();
  } else {
    table?.destroy(true);
    table = null;
    makeTable(places);
  }
  builtFor = wanted;
  if (scrolled) scroller().scrollTop = scrolled;
  if (focused !== undefined) byId("table").querySelector(`tbody tr[data-row="${Number(focused)}"]`)?.focus();
}

const scroller = () => byId("table")?.closest(".dt-layout-cell");

function makeTable(places) {
  const element = make("table", { id: "table", className: "compact nowrap hover row-border" });
  byId("table-card").prepend(element);
  const head = make("tr", {}, make("th", { "aria-label": "Chosen" }), make("th", { scope: "col" }, "marks"));
  for (const column of columns) {
    const title = column.kind === "override" ? "override" : column.kind === "metric" ? meaningOf(column, metricTitle(column)) : "";
    head.append(make("th", { scope: "col", title }, headingOf(column)));
  }
  element.append(make("thead", {}, head));
  element.setAttribute("aria-label", "Experiments");
  const state = tableState(places);
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
        visible: places.some((row) => marksOf(row).length),
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
      topStart: "search",
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
      search: "Search",
      info: "_START_–_END_ of _TOTAL_",
      infoEmpty: data.table ? "no row" : "no experiment",
      infoFiltered: "(_MAX_ in all)",
      lengthMenu: "_MENU_ a page",
      emptyTable: escapeHtml(noneText()),
      zeroRecords: "Nothing fits the filters",
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

/** Let Tab reach one row; arrows lead to the others. */
function reachFirst() {
  const first = byId("table").querySelector("tbody tr[data-row]");
  if (first) first.tabIndex = 0;
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
  const best = bestRows(objective);
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

// ---- Filters ----

/** Show the rows that have one of the statuses whose buttons are pressed. */
function searchStatuses() {
  const on = new Set(seenAll("status"));
  const fits = (row) => data.members[row].some((run) => on.has(exactText(runValueOf("status", run))));
  table.column(0).search.fixed("statuses", on.size ? (_, { row }) => fits(row) : null);
  table.draw(false);
}

function clearFilters() {
  remember("status", null);
  table.search("").columns().search("");
  table.columns().columnControl.searchClear();
  showStatuses();
  searchStatuses();
}

// ---- What the address keeps of the table ----

/** Keep how the table is sorted, searched and turned, as far as that isn't what a new page has. */
function keepTable(state) {
  if (!table) return; // it is being made
  const names = state.order.map(([index, way]) => [nameAt(index), way]).filter(([name, way]) => name && way);
  remember("sort", names.length ? JSON.stringify(names.map(([name, way]) => (way === "desc" ? `-${name}` : name))) : null);
  remember("search", state.search.search || null);
  remember("page", state.start > 0 && state.length > 0 ? String(state.start / state.length + 1) : null);
  remember("length", state.length === PAGE_LENGTH ? null : String(state.length));
  const turned = state.columns.flatMap(({ visible }, i) => {
    const column = columns[i - OWN_COLUMNS];
    return column && visible === column.hidden ? [(visible ? "+" : "-") + column.name] : [];
  });
  remember("column", turned);
  const filters = Object.entries(state.columnControl ?? {}).flatMap(([index, { searchInput, searchList }]) => {
    const name = nameAt(index);
    if (name === undefined) return [];
    if (searchList?.length) return [JSON.stringify([name, searchList])];
    return searchInput && searchInput.value !== "" ? [JSON.stringify([name, searchInput.logic, searchInput.value])] : [];
  });
  remember("filter", filters);
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
  const own = [{ visible: true }, { visible: places.some((row) => marksOf(row).length) }];
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
    search: { search: seen("search") ?? "", smart: true, regex: false, caseInsensitive: true },
    columns: [
      ...own,
      ...columns.map(({ name, hidden }) => ({ visible: hidden ? turned.has(`+${name}`) : !turned.has(`-${name}`) })),
    ],
    columnControl: controls,
  };
}
