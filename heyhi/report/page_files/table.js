// The table, its filters, and choosing rows by mouse and keyboard. DataTables draws it.

const BLANK_LAST = (sign) => (a, b) => {
  const rank = (value) => (value === null || value === "" ? 2 : Number.isNaN(value) ? 1 : 0);
  return rank(a) - rank(b) || (rank(a) ? 0 : sign * (a < b ? -1 : a > b ? 1 : 0));
};
DataTable.type("blank-last", {
  detect: () => false,
  className: "number",
  order: { asc: BLANK_LAST(1), desc: BLANK_LAST(-1) },
});

/** Return how a column is shown, sorted and searched; what is shown is an element, so that no text is markup. */
function columnOptions(column) {
  const show = (value, row) => {
    if (value === null) return make("span");
    if (column.kind === "status") return status(value);
    if (column.kind === "id") return make("span", { className: "id", title: value }, shortId(row));
    if (column.kind === "time" && isNumber(value))
      return make("span", {}, new Date(1000 * asNumber(value)).toLocaleString());
    if (column.kind === "folder" && data.details[row].folder) return link(data.details[row].folder, "open");
    const text =
      column.kind === "duration" && isNumber(value)
        ? duration(asNumber(value))
        : column.numeric
          ? shortNumber(value)
          : value;
    return make("span", { title: exactText(value), className: column.numeric ? "" : "text" }, exactText(text));
  };
  const list = column.distinct.length <= 30 && column.kind !== "id" && (!column.numeric || column.kind === "override");
  let filter = "searchText";
  if (list) {
    const sorted = sortedTexts(column.distinct);
    if (column.values.includes(null)) sorted.push("");
    filter = {
      extend: "searchList",
      options: sorted.map((value) => ({ value, label: escapeHtml(cut(value, 40) || "–") })),
    };
  } else if (column.numeric) filter = { extend: "searchNumber", excludeLogic: ["empty", "notEmpty"] };
  // To a number filter a blank is no number: it would take an empty text for less than any.
  const blank = column.numeric && !list ? "–" : "";
  return {
    data: (row) => row.cells[column.index],
    visible: !column.hidden,
    type: column.numeric ? "blank-last" : "string",
    className: `${column.kind}${column.numeric ? " number" : ""}`,
    render: (value, type, row) => {
      if (type === "display") return show(value, row.index);
      if (type === "sort" || type === "type")
        return column.numeric ? (value === null ? null : asNumber(value)) : exactText(value);
      return value === null ? blank : exactText(value);
    },
    columnControl: [
      { extend: "dropdown", icon: "search", text: escapeHtml(`Filter ${column.name}`), content: [filter] },
    ],
  };
}

const status = (value) => make("span", { className: "status" }, swatch(statusColour(value)), value);
const link = (address, text) => make("a", { href: address, target: "_blank", rel: "noopener" }, text);

let table;
function makeTable() {
  const head = make("tr", {}, make("th", { "aria-label": "Chosen" }));
  columns.forEach((column) =>
    head.append(
      make(
        "th",
        { scope: "col", title: column.kind === "override" ? "override" : column.kind === "metric" ? "metric" : "" },
        column.name,
      ),
    ),
  );
  byId("table").append(make("thead", {}, head));
  byId("table").setAttribute("aria-label", "Experiments");
  table = new DataTable("#table", {
    data: data.rows.map((cells, index) => ({ cells, index })),
    columns: [
      {
        data: null,
        orderable: false,
        searchable: false,
        className: "box",
        render: (_, type, row) => (type === "display" ? box(row.index) : ""),
        columnControl: [],
      },
      ...columns.map(columnOptions),
    ],
    order: [],
    autoWidth: false,
    deferRender: true,
    pageLength: 50,
    lengthMenu: [20, 50, 200, { label: "all", value: -1 }],
    select: { style: "os", info: false },
    layout: {
      topStart: "search",
      topEnd: {
        buttons: [
          { extend: "colvis", text: "Columns", columns: ":gt(0)", columnText: (_, i) => headingOf(i) },
          { text: "Clear filters", action: clearFilters },
        ],
      },
      bottomStart: ["info", "pageLength"],
      bottomEnd: "paging",
    },
    language: {
      search: "Search",
      info: "_START_–_END_ of _TOTAL_",
      infoEmpty: "no experiment",
      infoFiltered: "(_MAX_ in all)",
      lengthMenu: "_MENU_ a page",
      emptyTable: "No experiments",
      zeroRecords: "No experiment fits the filters",
    },
    createdRow: (element, row) => {
      element.tabIndex = -1;
      element.dataset.row = row.index;
      element.setAttribute("aria-selected", chosen.has(row.index));
    },
  });
  byId("table").setAttribute("role", "grid");
  byId("table").setAttribute("aria-multiselectable", "true");
  table.on("select deselect", () => setChosen(table.rows({ selected: true }).indexes().toArray()));
  table.on("user-select", (event, _, __, cell) => {
    if (cell.index().column !== 0) return;
    event.preventDefault(); // the box adds to what is chosen, a click elsewhere replaces it
    toggle(cell.index().row);
  });
  table.on("draw", () => {
    const rows = table.rows({ search: "applied", order: "applied" }).indexes().toArray();
    if (rows.length !== shownRows.length || rows.some((row, i) => row !== shownRows[i])) {
      shownRows = rows;
      redraw(drawCurves, drawOverrides);
    }
    reachFirst();
    colourBoxes();
  });
  reachFirst();
  byId("table").addEventListener("keydown", onKey);
}

/** Let Tab reach one row; arrows lead to the others. */
function reachFirst() {
  const first = byId("table").querySelector("tbody tr[data-row]");
  if (first) first.tabIndex = 0;
}

const headingOf = (index) => escapeHtml(columns[index - 1]?.name ?? "");
/** Escape what goes where a library takes markup only. */
const escapeHtml = (text) => make("span", {}, text).innerHTML;

const box = (row) => {
  const element = make("input", { type: "checkbox", className: "choose", tabIndex: -1, checked: chosen.has(row) });
  element.setAttribute("aria-label", `Choose ${data.ids[row]}`);
  return element;
};

function colourBoxes() {
  for (const row of byId("table").querySelectorAll("tbody tr[data-row]")) {
    const element = row.querySelector(".choose");
    const color = curveColours.get(Number(row.dataset.row));
    element.style.setProperty("--colour", color ?? "transparent");
    element.classList.toggle("drawn", color !== undefined);
    element.checked = chosen.has(Number(row.dataset.row));
  }
}

function clearFilters() {
  table.search("").columns().search("");
  table.columns().every(function () {
    this.search.fixed("statuses", null);
  });
  table.columns().columnControl.searchClear();
  byId("statuses")
    .querySelectorAll("button")
    .forEach((button) => button.setAttribute("aria-pressed", "false"));
  table.draw();
}

function toggle(row) {
  if (chosen.has(row)) table.row(row).deselect();
  else table.row(row).select();
}

/** Choose rows from elsewhere than the table, and bring the first into sight. */
function choose(rows, event) {
  const add = event.ctrlKey || event.metaKey || event.shiftKey;
  if (add && rows.length === 1) toggle(rows[0]);
  else {
    const wanted = new Set(rows);
    quiet = true; // one change, not one a row
    table.rows({ selected: true }).deselect();
    quiet = false;
    if (rows.length) table.rows([...wanted]).select();
    else setChosen([]);
  }
  if (rows.length) reveal(rows[0]);
}

let quiet = false;
function setChosen(rows) {
  if (quiet) return;
  const before = chosen;
  chosen = new Set(rows);
  lastChosen = rows.find((row) => !before.has(row)) ?? (chosen.has(lastChosen) ? lastChosen : (rows[0] ?? null));
  byId("table")
    .querySelectorAll("tbody tr[data-row]")
    .forEach((row) => row.setAttribute("aria-selected", chosen.has(Number(row.dataset.row))));
  colourBoxes();
  redraw(drawCurves, drawDetails, drawOverrides);
}

function reveal(row) {
  const place = shownRows.indexOf(row);
  if (place < 0) return;
  const size = table.page.len();
  if (size > 0 && Math.floor(place / size) !== table.page()) table.page(Math.floor(place / size)).draw("page");
  const element = table.row(row).node();
  const scroller = element.closest(".dt-layout-cell");
  const offset = element.offsetTop - scroller.scrollTop;
  if (offset < 30 || offset > scroller.clientHeight - 30)
    scroller.scrollTop = element.offsetTop - scroller.clientHeight / 2;
}

/** Move among rows by arrows (over the ends of pages), choose by Enter or Space, clear by Escape. */
function onKey(event) {
  const row = event.target.closest("tbody tr[data-row]");
  if (!row || event.target !== row) return;
  const rows = [...row.parentElement.children];
  const place = rows.indexOf(row);
  const focusOn = (element) => {
    rows.forEach((one) => (one.tabIndex = -1));
    element.tabIndex = 0;
    element.focus();
  };
  const turn = (page, last) => {
    if (page < 0 || page >= table.page.info().pages) return;
    table.page(page).draw("page");
    const turned = byId("table").querySelectorAll("tbody tr[data-row]");
    turned.forEach((one) => (one.tabIndex = -1));
    focusOn(last ? turned[turned.length - 1] : turned[0]);
  };
  const actions = {
    ArrowDown: () => (rows[place + 1] ? focusOn(rows[place + 1]) : turn(table.page() + 1, false)),
    ArrowUp: () => (rows[place - 1] ? focusOn(rows[place - 1]) : turn(table.page() - 1, true)),
    Home: () => focusOn(rows[0]),
    End: () => focusOn(rows.at(-1)),
    PageDown: () => turn(table.page() + 1, false),
    PageUp: () => turn(table.page() - 1, false),
    Enter: () =>
      event.ctrlKey || event.shiftKey ? toggle(Number(row.dataset.row)) : chooseOnly(Number(row.dataset.row)),
    " ": () => toggle(Number(row.dataset.row)),
    Escape: () => choose([], {}),
  };
  if (!(event.key in actions)) return;
  event.preventDefault();
  actions[event.key]();
}

const chooseOnly = (row) => choose(chosen.size === 1 && chosen.has(row) ? [] : [row], {});
