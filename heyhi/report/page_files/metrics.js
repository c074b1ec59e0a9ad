// Which metrics there are, which of them a page opens with, and over what they are drawn.

const CHECKED_ON = /(^|[^a-z])(val|valid|validation|dev|test|eval)([^a-z]|$)/i;
const wordless = (name) => name.replace(/\.best$/, "");

let curveMetrics = []; // all that have curves
let setsOf = new Map(); // metric -> [{x, y} of numbers of arrays, one for each run that has it]

function readMetrics() {
  if (isLive) bringCurves();
  setsOf = new Map();
  for (const sets of data.curves)
    for (const set of sets)
      for (const name of Object.keys(set.y)) {
        if (!setsOf.has(name)) setsOf.set(name, []);
        setsOf.get(name).push(set);
      }
  curveMetrics = isLive ? namesOfCurves() : [...setsOf.keys()];
}

/** Sort metrics: those that tell which run is better come first, and before these those of held-out data. */
function byInterest(one, other) {
  const interest = ({ name, direction }) =>
    (direction ? 4 : 0) + (CHECKED_ON.test(name) ? 2 : 0) + (direction === "max" ? 1 : 0);
  return interest(other) - interest(one);
}

/** Return the column of the table that says best what came out: not one in which all are alike. */
function mainColumn() {
  const found = metricColumns().filter((column) => column.isVaried);
  return [...(found.length ? found : metricColumns())].sort(byInterest)[0];
}

/** Return the override that tells most experiments apart, seeds aside. */
function mainOverride() {
  const found = overrides().filter((column) => column.isVaried);
  return [...found].sort((a, b) => a.replicate - b.replicate || b.distinct.length - a.distinct.length)[0];
}

/** Return the metric whose curves are drawn at first. */
function mainCurve() {
  const told = mainColumn() && wordless(mainColumn().name);
  const all = curveMetrics.map((name) => ({ name, direction: data.directions[name] ?? null })).sort(byInterest);
  return curveMetrics.find((name) => name === told) ?? curveMetrics.find((name) => name && told?.includes(name)) ?? all[0]?.name;
}

/** Return what metrics can be drawn over, the usual first, but what few of their curves have last. */
function axesOf(metrics) {
  const sets = metrics.flatMap((metric) => setsOf.get(metric) ?? []);
  const share = new Map(data.x.map((name) => [name, sets.filter((set) => Object.hasOwn(set.x, name)).length]));
  const few = (name) => share.get(name) < sets.length / 2;
  return data.x.filter((name) => share.get(name)).sort((a, b) => few(a) - few(b));
}

/** Return the name of what a curve is drawn over: what is asked for, else what it has. */
function axisOf(set, wanted) {
  if (Object.hasOwn(set.x, wanted)) return wanted;
  return data.x.find((name) => Object.hasOwn(set.x, name));
}
