// Lines that lie far from the others of their chart: with them in it, nothing else could be seen.

const FAR_OVER = 4; // times as wide as the others: what is over something else
const FAR = 100; // times as wide, or as high: what is over the same
const FAR_UP = 1000;

const middleOf = (values) => [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)];

/** Return over which numbers a line is, or null. */
function endsOf({ x }) {
  let [first, last] = [0, x.length - 1];
  while (first <= last && !Number.isFinite(x[first])) first += 1;
  while (last >= first && !Number.isFinite(x[last])) last -= 1;
  return first <= last ? [x[first], x[last]] : null;
}

/** Return over what the lines of a metric are drawn, and from where to where most of them are; `wanted` as it is asked. */
function reachOf(bundles, metric, wanted) {
  const lines = bundles.flatMap(({ runs }) => runs.map((run) => curve(run, metric, wanted))).filter((line) => line);
  const over = commonAxis(lines, wanted);
  const ends = lines.filter((line) => line.over === over).flatMap((line) => [endsOf(line) ?? []]).filter((two) => two.length);
  if (!ends.length) return { over, isFar: () => false };
  const [low, high] = [0, 1].map((side) => middleOf(ends.map((two) => two[side])));
  const isApart = ([first, last]) => first > high + FAR * (high - low) || last < low - FAR * (high - low);
  const isMost = ends.length > 2 && high > low;
  const near = ends.filter((two) => !isMost || !isApart(two));
  const [least, most] = [Math.min(...near.map(([first]) => first)), Math.max(...near.map(([, last]) => last))];
  const isFar = (line) => {
    const its = endsOf(line);
    if (!its) return false;
    if (line.over === over) return isMost && isApart(its);
    return Math.max(its[1], most) - Math.min(its[0], least) > FAR_OVER * (most - least);
  };
  return { over, isFar };
}

/** Return those that go so far up or down that the others look flat: each [run, height] of [run, low, high]. */
function highOnes(extents) {
  const heights = extents.map(([run, low, high]) => [run, Math.max(Math.abs(low), Math.abs(high))]).filter(([, one]) => Number.isFinite(one));
  const usual = heights.length ? middleOf(heights.map(([, height]) => height)) : 0;
  return usual > 0 ? heights.filter(([, height]) => height > FAR_UP * usual) : [];
}

/** Name runs, the first few of them. */
function runNames(runs) {
  const names = runs.slice(0, 2).map((run) => cut(runsLabel([run]), 40));
  return names.join(", ") + (runs.length > 2 ? ` and ${runs.length - 2} more` : "");
}

/** Say which lines aren't drawn since they are far from the others, and which of those that are make the others flat. */
function notesOfFar({ far, high }) {
  const notes = [];
  const byAxes = new Map();
  for (const [run, axes] of far) byAxes.set(axes, [...(byAxes.get(axes) ?? []), run]);
  for (const [axes, runs] of byAxes) notes.push(`${runs.length} not drawn: ${axes} (${runNames(runs)}); choose them and *chosen only* to see them`);
  if (high.size) {
    const most = shortNumber(Math.max(...high.values()));
    const them = high.size === 1 ? "it" : "them";
    notes.push(`${runNames([...high.keys()])} up to ${most}, far from the others, which look flat: log y, or lines without ${them}, show more`);
  }
  return notes;
}
