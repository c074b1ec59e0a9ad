// What is new, put into what is shown: only what it touches is drawn again, and what somebody is at stays as it is.

const ROW_NEWS = new Set(["server", "version", "made", "rows", "counts"]);
// What is shown beside the table; all else of news makes it another table.
const BESIDE = new Set(["searches", "notes", "notices", "phase", "asked", "total", "title", "refresh", "eta"]);

/** Take what the server says: the whole table, or what is new in it. */
function takeNews(news) {
  if (news.ids) return takeWhole(news);
  const others = Object.keys(news).filter((name) => !ROW_NEWS.has(name));
  const rest = Object.fromEntries(Object.entries(news).filter(([name]) => name !== "rows" && name !== "counts"));
  if (others.some((name) => !BESIDE.has(name))) return takeWhole({ ...whole(), ...rest, ...withRows(news) });
  const change = takeCells(Object.entries(news.rows ?? {}), Object.entries(news.counts ?? {}));
  Object.assign(data, rest);
  showChange(change, others.includes("searches"));
}

/** Return the table as it would come from the server, to be shown anew. */
const whole = () => ({ ...data });

function withRows({ rows = {}, counts = {} }) {
  const found = { runs: { ...data.runs, rows: [...data.runs.rows] }, counts: [...data.counts] };
  for (const [run, cells] of Object.entries(rows)) found.runs.rows[run] = cells;
  for (const [run, is] of Object.entries(counts)) found.counts[run] = is;
  return found;
}

/** Return whether a whole table is the one that is shown with other cells, and perhaps more experiments at its end. */
function isGrown(news) {
  if (!data?.live || data.table || news.table || data.phase !== news.phase) return false;
  const fixed = ["spread", "directions", "pivot", "packages", "groups", "factors"];
  const isStart = (long, short) => short.every((one, i) => JSON.stringify(one) === JSON.stringify(long[i]));
  const isSame = (name) => {
    const [now, then] = [news[name], data[name]];
    if (Array.isArray(then) && name !== "pivot") return Array.isArray(now) && now.length >= then.length && isStart(now, then);
    return JSON.stringify(now) === JSON.stringify(then);
  };
  return (
    data.ids.length > 0 &&
    news.ids.length >= data.ids.length &&
    data.ids.every((id, run) => id === news.ids[run]) &&
    JSON.stringify(data.runs.columns) === JSON.stringify(news.runs.columns) &&
    news.members.every((runs, row) => runs.length === 1 && runs[0] === row) &&
    fixed.every(isSame)
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
  const { rows } = data.runs;
  const cells = news.runs.rows.slice(0, known).map((row, run) => [run, row]);
  const isOther = ([run, row]) => row.some((cell, i) => !isSameCell(cell, rows[run][i]));
  const counts = news.counts.slice(0, known).map((is, run) => [run, is]);
  const change = takeCells(cells.filter(isOther), counts);
  const grown = news.ids.length > known;
  if (grown) rows.push(...news.runs.rows.slice(known));
  data = { ...data, ...none, notices: [], phase: "", eta: "", ...news, runs: { ...news.runs, rows } };
  if (!grown) {
    onNews.forEach((tell) => tell({ runs: change.runs }));
    readMetrics();
    return showChange(change, true, false);
  }
  for (const column of columns) column.grown();
  for (let run = known; run < data.ids.length; run += 1) rowsOfRun[run] = [run];
  sharedFolder = foldersOfAll(data.ids);
  hasSeeds = new Set(data.groups).size < data.ids.length;
  onNews.forEach((tell) => tell({ all: true }));
  readMetrics();
  showControls();
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
