// Which colour a line has, and its row in the table and its point in the plot of the overrides.

/** Return a shade of a colour such as #4e79a7: itself, then lighter and darker ones by turns. */
function shade(color, step) {
  const part = [0, 0.4, -0.35, 0.65, -0.6][step % SHADES];
  const mixed = (value) => Math.round(value + ((part > 0 ? 255 : 0) - value) * Math.abs(part));
  const hex = (at) => mixed(Number.parseInt(color.slice(at, at + 2), 16)).toString(16).padStart(2, "0");
  return `#${hex(1)}${hex(3)}${hex(5)}`;
}

const SHADES = 5;
const colourAt = (place) => shade(PALETTE[place % PALETTE.length], Math.floor(place / PALETTE.length));

/**
 * Return run -> colour, by the place of its line among those that are drawn, in the order of the data.
 *
 * Where few could be drawn, by the place among all of these: they keep their colours, whatever is sorted and chosen.
 */
function lineColours() {
  const all = gathered(PALETTE.length + 1); // all of them, or too many
  const drawn = all.length <= PALETTE.length ? all : gathered(mostLines());
  const first = new Map(drawn.map((bundle) => [bundle, Math.min(...bundle.runs)]));
  // What is drawn only since it is chosen changes nothing of the others.
  const sorted = [...drawn].sort((a, b) => a.isExtra - b.isExtra || first.get(a) - first.get(b));
  const found = new Map();
  sorted.forEach((bundle, place) => bundle.runs.forEach((run) => found.set(run, colourAt(place))));
  if (!hasSeeds || bandsOn() || sorted.length <= PALETTE.length) return found;
  // Many single seeds: those of a group share a hue, if that tells more apart than it mixes up.
  const groups = new Map();
  for (const { runs } of sorted) {
    const group = data.groups[runs[0]];
    groups.set(group, [...(groups.get(group) ?? []), runs[0]]);
  }
  if (groups.size > PALETTE.length || [...groups.values()].some((runs) => runs.length > SHADES)) return found;
  [...groups.values()].forEach((runs, hue) => runs.forEach((run, step) => found.set(run, shade(PALETTE[hue], step))));
  return found;
}

/** Return functions row -> colour and line -> colour, and the legend's entries, for what the Colour control says. */
function colouring() {
  const column = chosenColumn(byId("colour").value);
  if (!column) {
    const colours = lineColours();
    const ofRuns = (runs) => colours.get(runs[0]) ?? NONE;
    return { of: (row) => ofRuns(data.members[row]), ofLine: ({ runs }) => ofRuns(runs), legend: null };
  }
  const { of, entries } = valueColours(column);
  return { of, ofLine: ({ rows }) => of(rows[0]), legend: { title: column.name, entries } };
}

/** Return the same for the values of a column. */
function valueColours(column) {
  let values = column.distinct;
  let colours = values.map((_, i) => colourAt(i));
  if (column.kind === "status") colours = values.map(statusColour);
  else if (column.numeric) {
    values = [...values].sort((a, b) => Number(a) - Number(b));
    // Overrides are chosen on a grid or a log scale, so that their order tells more than their size.
    const [low, high] = [Number(values[0]), Number(values.at(-1))];
    const part =
      column.kind === "metric" && Number.isFinite(high - low)
        ? (i) => (Number(values[i]) - low) / (high - low || 1)
        : (i) => i / Math.max(values.length - 1, 1);
    colours = values.map((_, i) => SCALE[Math.round(part(i) * (SCALE.length - 1))]);
  }
  const colourOf = new Map(values.map((value, i) => [value, colours[i]]));
  const of = (row) => colourOf.get(exactText(column.values[row])) ?? NONE;
  const entries = spread(values.length, column.numeric ? 6 : 12).map((i) => ({
    name: column.numeric ? shortNumber(Number(values[i])) : values[i],
    color: colours[i],
  }));
  return { of, entries };
}
