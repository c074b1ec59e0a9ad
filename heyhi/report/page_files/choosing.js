// Choosing rows: by mouse and keyboard in the table, and from the plots.

function linkTable(element) {
  table.on("select deselect", () => setChosen(table.rows({ selected: true }).data().toArray().map(({ row }) => row)));
  table.on("user-select", (event, _, __, cell) => {
    if (cell.index().column !== 0) return;
    event.preventDefault(); // the box adds to what is chosen, a click elsewhere replaces it
    toggle(table.row(cell.index().row).data().row);
  });
  table.on("draw", () => {
    readShown();
    reachOne();
    colourBoxes();
  });
  element.addEventListener("keydown", onKey);
  if (filterTests.length) {
    table.search.fixed("heyhi", (_, { row }) => filterTests.every((test) => test(row)));
    table.draw(false);
  } else colourBoxes(); // it is drawn already
  readShown();
  reachOne();
  showFilters();
}

/** Learn which rows the table shows, and in which order. */
function readShown() {
  const rows = table.rows({ search: "applied", order: "applied" }).data().toArray().map(({ row }) => row);
  if (rows.length === shownRows.length && rows.every((row, i) => row === shownRows[i])) return;
  shownRows = rows;
  turnColumns();
  redraw(drawCurves, drawOverrides, drawSearch);
}

// The rows are added in their order, so that DataTables' index of a row is its place in the data.
function toggle(row) {
  if (chosen.has(row)) table.row(row).deselect();
  else table.row(row).select();
}

/** Choose rows from elsewhere than the table, and bring the first into sight. */
function choose(rows, event) {
  const add = event.ctrlKey || event.metaKey || event.shiftKey;
  if (add && rows.length === 1) toggle(rows[0]);
  else selectRows(rows);
  if (rows.length) reveal(rows[0]);
}

let quiet = false;

/** Make rows the chosen ones: one change, not one a row. */
function selectRows(rows) {
  quiet = true;
  table.rows({ selected: true }).deselect();
  if (rows.length) table.rows(rows).select();
  quiet = false;
  setChosen(rows);
}

function setChosen(rows) {
  if (quiet) return;
  const before = chosen;
  chosen = new Set(rows);
  lastChosen = rows.find((row) => !before.has(row)) ?? (chosen.has(lastChosen) ? lastChosen : (rows[0] ?? null));
  lastRun = null;
  remember("row", rows.map(keyOf));
  byId("table")
    .querySelectorAll("tbody tr[data-row]")
    .forEach((tr) => tr.setAttribute("aria-selected", chosen.has(Number(tr.dataset.row))));
  colourBoxes();
  redraw(drawCurves, drawDetails, drawOverrides, drawSearch);
}

/** Choose the rows that the address names, or that were chosen in the data before; those that are gone are none. */
function chooseSeen() {
  const runs = new Map(data.ids.map((id, run) => [id, run]));
  const rows = seenAll("row").flatMap((id) => (runs.has(id) ? rowsOfRun[runs.get(id)].slice(0, 1) : []));
  const isFirst = !isChosenSeen;
  isChosenSeen = true;
  if (rows.length || chosen.size) selectRows([...new Set(rows)]);
  if (isFirst && rows.length && seen("page") === null) reveal(rows[0]);
}

let isChosenSeen = false;

function reveal(row) {
  const place = shownRows.indexOf(row);
  if (place < 0) return;
  const size = table.page.len();
  if (size > 0 && Math.floor(place / size) !== table.page()) table.page(Math.floor(place / size)).draw("page");
  const element = table.row(row).node();
  const offset = element.offsetTop - scroller().scrollTop;
  if (offset < 30 || offset > scroller().clientHeight - 30)
    scroller().scrollTop = element.offsetTop - scroller().clientHeight / 2;
}

/** Move among rows by arrows (over the ends of pages), choose by Enter or Space, clear by Escape. */
function onKey(event) {
  const row = event.target.closest("tbody tr[data-row]");
  if (!row || event.target !== row) return;
  const rows = [...row.parentElement.children];
  const place = rows.indexOf(row);
  const focusOn = (element) => {
    element.focus();
    reachOne();
  };
  const turn = (page, last) => {
    if (page < 0 || page >= table.page.info().pages) return;
    table.page(page).draw("page");
    const turned = byId("table").querySelectorAll("tbody tr[data-row]");
    focusOn(last ? turned[turned.length - 1] : turned[0]);
  };
  const [isPlain, shifted] = [!event.ctrlKey && !event.metaKey && !event.altKey, event.key.length > 1];
  if (!isPlain && !shifted) return;
  const actions = {
    j: () => actions.ArrowDown(),
    k: () => actions.ArrowUp(),
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

/** Choose nothing any more, unless Escape means something else where it was pressed. */
function clearChosen(target) {
  const isElsewhere = target.closest("input:not([type=checkbox], [type=range]), select, textarea");
  if (chosen.size && !isElsewhere && !isMenuOpen()) choose([], {});
}

const chooseOnly = (row) => choose(chosen.size === 1 && chosen.has(row) ? [] : [row], {});
