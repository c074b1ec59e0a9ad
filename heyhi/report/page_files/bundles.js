// What is drawn as one: a run, or runs that are replicates of one another.

const bandsOn = () => hasSeeds && byId("seeds").checked;

/**
 * Choose what is drawn, the chosen last so that they lie on top.
 *
 * Runs are put together when they are replicates of one another; of a row that puts several together, only its own.
 */
const drawnBundles = () =>
  gathered(mostLines())
    .map(describe)
    .sort((a, b) => a.on - b.on);

/** Return whether a run has a curve of some metrics, as far as is known. */
const hasCurve = (run, metrics) =>
  data.curves[run]?.some((set) => metrics.some((metric) => Object.hasOwn(set.y, metric))) || (isLive && mayHaveCurve(run, metrics));

const mostLines = () => Math.min(Number(byId("lines").value), isLive ? MOST_LINES : Infinity);

/** Put the runs of the first rows together that are drawn as one; `isExtra` is what is drawn since it is chosen. */
function gathered(limit) {
  const keyOfRun = (row, run) => {
    if (!bandsOn()) return `run ${run}`;
    return data.members[row].length > 1 ? `row ${row} ${data.groups[run]}` : `group ${data.groups[run]}`;
  };
  const keysOf = (row) => data.members[row].map((run) => keyOfRun(row, run));
  const bundles = new Map();
  const metrics = drawnMetrics();
  let begun = 0;
  for (const row of shownRows) {
    const keys = keysOf(row).filter((key) => !bundles.has(key));
    if (!keys.length) continue;
    if (begun >= limit) break;
    if (limit < Infinity && (metrics.length || isLive) && !data.members[row].some((run) => hasCurve(run, metrics))) continue;
    begun += 1; // a row's runs are drawn or not, all of them
    keys.forEach((key) => bundles.set(key, { rows: [], runs: [], isExtra: false }));
  }
  const extra = (key) => bundles.has(key) || bundles.set(key, { rows: [], runs: [], isExtra: true });
  chosen.forEach((row) => keysOf(row).forEach(extra));
  for (const row of new Set([...shownRows, ...chosen]))
    for (const run of data.members[row]) {
      const bundle = bundles.get(keyOfRun(row, run));
      if (!bundle || bundle.runs.includes(run)) continue;
      bundle.runs.push(run);
      if (!bundle.rows.includes(row)) bundle.rows.push(row);
    }
  return [...bundles.values()];
}

/** Return what names bundles beside one another: without what all of them share. */
function namesAmong(bundles) {
  const runs = bundles.flatMap((bundle) => bundle.runs);
  const telling = runColumns.filter(
    ({ kind, values }) => kind === "override" && runs.some((run) => values[run] !== values[runs[0]]),
  );
  return ({ runs: own, name }) => {
    const parts = telling
      .filter(({ values }) => values[own[0]] !== null && own.every((run) => values[run] === values[own[0]]))
      .map((column) => named(column, column.values[own[0]]));
    return (!data.table && parts.join(" ")) || name;
  };
}

/** Tell what a plot needs to know of runs that are drawn as one. */
function describe(bundle) {
  const { rows, runs } = bundle;
  const isRow = rows.length === 1 && runs.length === data.members[rows[0]].length;
  const counting = runs.filter((run) => data.counts[run]);
  const versions = counting.length > 1 ? versionsOf(counting) : 1;
  return {
    ...bundle,
    // A run that is alone is drawn as it is; among others only what counts is in their mean.
    counting: runs.length > 1 ? counting : runs,
    others: runs.length > 1 ? runs.filter((run) => !data.counts[run]) : [],
    on: rows.some((row) => chosen.has(row)),
    name: isRow && runs.length > 1 ? rowLabel(rows[0]) : runsLabel(runs),
    versions,
  };
}

/**
 * Return one run's metric over `over`, or null: {x, y} of its points, and {x, y} of the means of its parts.
 *
 * Of a long curve there are only minima and maxima (page_curves.py), of which nothing may be worked out: their mean is
 * not the curve's. Of a short one, the points are all that there are.
 */
function curve(run, metric, wanted) {
  for (const set of data.curves[run]) {
    if (!Object.hasOwn(set.y, metric)) continue;
    const over = axisOf(set, wanted);
    if (over === undefined) continue;
    const points = { x: numbers(set.x[over]), y: numbers(set.y[metric]) };
    const means = set.mean ? { x: numbers(set.mean_x[over]), y: numbers(set.mean[metric]) } : points;
    return { run, over, ...points, means, isThin: means !== points };
  }
  return null;
}

/** Return what a curve is smoothed to. The weight is of one point for the next: of a part, where it has parts. */
const smoothLine = (line, weight) => ({ ...line, x: line.means.x, y: smoothed(line.means.y, weight) });

/** Smooth by an exponential moving average that doesn't start at zero; what isn't finite stays as it is. */
function smoothed(values, weight) {
  if (!weight) return values;
  let average = 0;
  let total = 0;
  return Array.from(values, (value) => {
    if (!Number.isFinite(value)) return value;
    average = weight * average + (1 - weight) * value;
    total = weight * total + (1 - weight);
    return average / total;
  });
}

/** Return a line with one value at each x: the mean where there are several, NaN where none of them is finite. */
function oneAtEach(line) {
  const x = [];
  const y = [];
  let [sum, count] = [0, 0];
  line.x.forEach((at, i) => {
    if (Number.isNaN(at)) return;
    if (x[x.length - 1] !== at) {
      x.push(at);
      y.push(NaN);
      [sum, count] = [0, 0];
    }
    if (!Number.isFinite(line.y[i])) return;
    sum += line.y[i];
    count += 1;
    y[y.length - 1] = sum / count;
  });
  return { x, y };
}

/** Return a line's value at x, between its points on a straight line; NaN outside of it, and beside one that is NaN. */
function valueAt(line, x, from) {
  let i = from.i;
  while (i < line.x.length && line.x[i] < x) i += 1;
  from.i = i; // x grows, so that the next search starts here
  if (i >= line.x.length) return NaN;
  if (line.x[i] === x) return line.y[i];
  if (i === 0) return NaN;
  const part = (x - line.x[i - 1]) / (line.x[i] - line.x[i - 1]);
  return line.y[i - 1] + part * (line.y[i] - line.y[i - 1]);
}

const BANDS = { se: "standard error", std: "standard deviation", ci95: "95 % confidence interval" };
const bandName = () => BANDS[data.spread ?? "se"];
const MOST_PLACES = 2000; // of a band: more than a screen shows

/** Return every x of some lines, ascending; seeds mostly have the same. */
function placesOf(lines) {
  const all = [...new Set(lines.flatMap((line) => line.x))].sort((a, b) => a - b);
  return spread(all.length, MOST_PLACES).map((i) => all[i]);
}

/**
 * Return mean, half width of the band and number of runs at each x.
 *
 * As in the table, a run that is NaN or infinite there is left out; where all are, the mean is NaN, and drawn as a gap.
 */
function band(lines) {
  const seeds = lines.map(oneAtEach);
  const from = seeds.map(() => ({ i: 0 }));
  const result = { x: placesOf(seeds), mean: [], error: [], count: [] };
  let before = [];
  const places = result.x;
  result.x = [];
  for (const at of places) {
    const all = seeds.map((line, i) => valueAt(line, at, from[i]));
    const own = [...all.keys()].filter((i) => Number.isFinite(all[i]));
    // No run leads from there to here: the mean of some is not joined to that of others.
    if (before.length && own.length && !own.some((i) => before.includes(i))) {
      result.x.push(result.x.at(-1) + (at - result.x.at(-1)) / 2);
      result.mean.push(NaN);
      result.error.push(0);
      result.count.push(0);
    }
    before = own;
    result.x.push(at);
    const values = own.map((i) => all[i]);
    const count = values.length;
    const mean = values.reduce((sum, value) => sum + value, 0) / count;
    const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    result.mean.push(mean);
    result.error.push(count > 1 ? Math.sqrt(squares / (count - 1)) * data.factors[count] : 0);
    result.count.push(count);
  }
  return result;
}
