// What is new, put into what is shown: only what it touches is drawn again, and what somebody is at stays as it is.

const ROW_NEWS = new Set(["server", "version", "made", "rows", "counts"]);
// What is shown beside the table; all else of news makes it another table.
const BESIDE = new Set(["searches", "notes", "notices", "phase", "asked", "total", "title", "tab", "refresh", "eta"]);
// What says which experiments belong together, and which metrics are better which way.
const ORDERS = ["groups", "packages", "factors", "directions"];

/** Take what the server says: the whole table, or what is new in it. */
function takeNews(news) {
  if (news.ids) return takeWhole(news);
  const others = Object.keys(news).filter((name) => !ROW_NEWS.has(name));
  const rest = Object.fromEntries(Object.entries(news).filter(([name]) => name !== "rows" && name !== "counts"));
  if (others.some((name) => !BESIDE.has(name) && !ORDERS.includes(name))) return takeWhole({ ...data, ...rest, ...withRows(news) });
  const change = takeCells(Object.entries(news.rows ?? {}), Object.entries(news.counts ?? {}));
  Object.assign(data, rest);
  const isOrdered = others.some((name) => ORDERS.includes(name));
  if (isOrdered) orderAnew();
  showChange({ ...change, isCounted: change.isCounted || isOrdered }, others.includes("searches"));
}

function withRows({ rows = {}, counts = {} }) {
  const found = { runs: { ...data.runs, rows: [...data.runs.rows] }, counts: [...data.counts] };
  for (const [run, cells] of Object.entries(rows)) found.runs.rows[run] = cells;
  for (const [run, is] of Object.entries(counts)) found.counts[run] = is;
  return found;
}

/** Take what the data says of groups and directions. */
function orderAnew() {
  hasSeeds = new Set(data.groups).size < data.ids.length;
  for (const column of new Set([...columns, ...runColumns])) column.turn();
  showControls();
}

/** Return whether a whole table is the one that is shown with other cells, and perhaps more experiments at its end. */
function isGrown(news) {
  if (!data?.live || data.table || news.table || data.phase !== (news.phase ?? "")) return false;
  const named = ({ columns: all }) => JSON.stringify(all.map(({ name, kind, replicate }) => [name, kind, replicate]));
  const isSame = (name) => JSON.stringify(news[name]) === JSON.stringify(data[name]);
  return (
    data.ids.length > 0 &&
    news.ids.length >= data.ids.length &&
    data.ids.every((id, run) => id === news.ids[run]) &&
    named(data.runs) === named(news.runs) &&
    news.members.every((runs, row) => runs.length === 1 && runs[0] === row) &&
    ["spread", "pivot"].every(isSame)
  );
}

/** Take a whole table. */
function takeWhole(news) {
  const none = {
    ...{ curves: news.ids.map(() => []), arrays: [], x: [], common: [{}] },
    details: news.ids.map(() => ({ config: "", flat: { common: 0, own: {} }, attempts: [], log: [], folder: "", log_link: "" })),
  };
  if (isGrown(news)) return takeGrown(news, none);
  data = { ...data, ...none, notices: [], phase: "", eta: "", ...news };
  onNews.forEach((tell) => tell({ all: true }));
  show({});
}

function takeGrown(news, none) {
  const known = data.ids.length;
  const isOrdered = ORDERS.some((name) => JSON.stringify(news[name]) !== JSON.stringify(data[name]));
  const { rows } = data.runs;
  const cells = news.runs.rows.slice(0, known).map((row, run) => [run, row]);
  const isOther = ([run, row]) => row.some((cell, i) => !isSameCell(cell, rows[run][i]));
  const counts = news.counts.slice(0, known).map((is, run) => [run, is]);
  const change = takeCells(cells.filter(isOther), counts);
  const grown = news.ids.length > known;
  if (grown) rows.push(...news.runs.rows.slice(known));
  data = { ...data, ...none, notices: [], phase: "", eta: "", ...news, runs: { ...news.runs, rows } };
  columns.forEach((column, index) => (column.hidden = data.runs.columns[index].hidden));
  if (!grown) {
    onNews.forEach((tell) => tell({ runs: change.runs }));
    readMetrics();
    if (isOrdered) orderAnew();
    return showChange({ ...change, isCounted: change.isCounted || isOrdered }, true, false);
  }
  for (const column of columns) column.grown();
  for (let run = known; run < data.ids.length; run += 1) rowsOfRun[run] = [run];
  sharedFolder = foldersOfAll(data.ids);
  onNews.forEach((tell) => tell({ all: true }));
  readMetrics();
  orderAnew();
  addRows(known);
  showChange({ ...change, names: new Set(columns.map(({ name }) => name)) }, true, false);
}

const isSameCell = (one, other) => one === other || (Array.isArray(one) && Array.isArray(other) && one[0] === other[0]);

/** Take cells and which experiments count: return which runs and which columns that changes. */
function takeCells(rows, counts) {
  const [runs, touched] = [[], new Map()];
  for (const [place, cells] of rows) {
    const run = Number(place);
    const before = data.runs.rows[run];
    if (!before) continue; // of a table that has gone
    data.runs.rows[run] = cells;
    runs.push(run);
    cells.forEach((cell, index) => {
      if (isSameCell(cell, before[index])) return;
      if (!touched.has(index)) touched.set(index, []);
      touched.get(index).push(run);
    });
  }
  let isCounted = false;
  for (const [place, is] of counts) {
    isCounted = isCounted || data.counts[place] !== is;
    data.counts[place] = is;
  }
  const best = new Map(columns.filter(({ direction }) => direction).map((column) => [column, column.best]));
  for (const [index, its] of touched) {
    runColumns[index].changed(its);
  }
  if (isCounted) new Set([...columns, ...runColumns]).forEach((column) => column.changed([]));
  return { runs, isCounted, best, names: new Set([...touched.keys()].map((index) => runColumns[index].name)) };
}

/** Draw again what a change touches. */
function showChange(change, areSearches, isTold = true) {
  const { runs, names, isCounted } = change;
  if (isTold) onNews.forEach((tell) => tell({ runs }));
  showHead();
  if (!data.table) refreshRows(change);
  if (!runs.length && !isCounted && !areSearches) return;
  const drawn = ["colour", "scatter-x", "scatter-y"].map((id) => byId(id).value);
  redraw(drawCurves);
  if (isCounted || byId("shape").value === "parallel" || drawn.some((name) => names.has(name))) redraw(drawOverrides);
  if (areSearches || (data.searches.length && runs.length)) redraw(drawSearch);
  if (runs.some((run) => rowsOfRun[run].some((row) => chosen.has(row)))) redraw(drawDetails);
}
