// The learning curves: which are drawn, smoothing, and seeds as bands.

/** Return {x, y} of one experiment for the chosen metric, or null. */
function curve(row, metric, x) {
  for (const set of data.curves[row]) {
    if (!Object.hasOwn(set.y, metric)) continue;
    const over = Object.hasOwn(set.x, x) ? x : Object.keys(set.x)[0]; // what wasn't logged with x is drawn over another
    return { over, x: numbers(set.x[over]), y: numbers(set.y[metric]) };
  }
  return null;
}

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

/** Return a curve's value at x, between its points on a line; undefined outside of it. */
function valueAt(line, x, from) {
  let i = line.x[from.i - 1] > x ? 0 : from.i; // a run that was set back logs some steps twice
  while (i < line.x.length && line.x[i] < x) i += 1;
  from.i = i; // x mostly grows, so that the next search starts here
  if (i >= line.x.length) return undefined;
  if (line.x[i] === x) return line.y[i];
  if (i === 0) return undefined;
  const part = (x - line.x[i - 1]) / (line.x[i] - line.x[i - 1]);
  return line.y[i - 1] + part * (line.y[i] - line.y[i - 1]);
}

/** Return mean, standard error and number of seeds along the longest seed's x. */
function band(lines) {
  const x = lines.reduce((longest, line) => (line.x.length > longest.length ? line.x : longest), []);
  const from = lines.map(() => ({ i: 0 }));
  const result = { x: Array.from(x), mean: [], error: [], count: [] };
  for (const at of x) {
    const values = lines.map((line, i) => valueAt(line, at, from[i])).filter((value) => value !== undefined);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    result.mean.push(mean);
    result.error.push(values.length > 1 ? Math.sqrt(squares / (values.length - 1) / values.length) : 0);
    result.count.push(values.length);
  }
  return result;
}

/** Choose what is drawn: groups of rows, the chosen last so that they lie on top. */
function drawnGroups(bands) {
  const limit = Number(byId("lines").value);
  const members = new Map();
  const add = (row) => {
    const key = bands ? data.groups[row] : row;
    if (!members.has(key)) members.set(key, bands ? shownRows.filter((r) => data.groups[r] === key) : [row]);
    if (!members.get(key).includes(row)) members.get(key).push(row);
  };
  for (const row of shownRows) {
    if (members.size >= limit) break;
    add(row);
  }
  chosen.forEach(add);
  const isChosen = (rows) => rows.some((row) => chosen.has(row));
  return [...members.values()].sort((a, b) => isChosen(a) - isChosen(b));
}

let curveColours = new Map(); // row -> colour, of the rows that are drawn

function drawCurves() {
  const metric = byId("metric").value;
  const over = byId("x").value;
  const weight = Number(byId("smooth").value);
  const [logX, logY] = [byId("log-x").checked, byId("log-y").checked];
  const groups = drawnGroups(hasSeeds && byId("seeds").checked);
  const colours = colouring();
  const traces = [];
  const drawn = [];
  const drawnOver = new Set();
  let notFinite = 0;
  curveColours = new Map();

  for (const rows of groups) {
    const raw = rows.map((row) => curve(row, metric, over)).filter((line) => line);
    if (!raw.length) continue;
    drawn.push(rows);
    raw.forEach((line) => drawnOver.add(line.over));
    if (raw.some((line) => line.y.some((value) => !Number.isFinite(value)))) notFinite += 1;
    const lines = raw.map((line) => ({ x: line.x, y: smoothed(line.y, weight) }));
    const on = rows.some((row) => chosen.has(row));
    const faint = chosen.size > 0 && !on;
    const color = colours.of(rows[0]);
    rows.forEach((row) => curveColours.set(row, color));
    const name = plotText(cut(label(rows[0], rows), 90));
    const trace = {
      x: lines[0].x,
      y: lines[0].y,
      mode: lines[0].x.length === 1 ? "markers" : "lines",
      line: { color, width: on ? 2.6 : 1.6 },
      marker: { color },
      opacity: faint ? 0.22 : 1,
      meta: { rows, label: name, id: plotText(cut(shortId(rows[0]), 70)) },
      hovertemplate: "<b>%{meta.label}</b><br>%{y:.5~g} at %{x:,~f}<br>%{meta.id}<extra></extra>",
    };
    if (lines.length > 1) {
      const seeds = band(lines);
      Object.assign(trace, {
        x: seeds.x,
        y: seeds.mean,
        customdata: seeds.mean.map((_, i) => [seeds.error[i], seeds.count[i]]),
      });
      trace.hovertemplate =
        "<b>%{meta.label}</b><br>%{y:.5~g} ± %{customdata[0]:.2~g} at %{x:,~f}<br>" +
        "mean ± standard error of %{customdata[1]} seeds<extra></extra>";
      traces.push(...bandTraces(seeds, color, faint ? 0.06 : 0.2, logY));
    } else if (weight && groups.length <= 30) {
      traces.push({
        ...trace,
        y: raw[0].y,
        line: { color, width: 1 },
        opacity: faint ? 0.08 : 0.25,
        hoverinfo: "skip",
        hovertemplate: undefined,
      });
    }
    traces.push(trace);
  }

  const axes = {
    xaxis: { title: axisTitle([...drawnOver].join(", ") || over), type: logX ? "log" : "linear" },
    yaxis: { title: axisTitle(metric), type: logY ? "log" : "linear" },
    // A zoom stays while lines come and go, and ends when the axes mean something else.
    uirevision: [metric, over, logX, logY].join("\n"),
  };
  Plotly.react("curves", traces, layout(axes), modeBar);
  byId("legend").replaceChildren(
    ...colours.legend.map(([value, color]) => make("span", { className: "key" }, swatch(color), cut(value, 40))),
  );
  const what = hasSeeds && byId("seeds").checked ? "bands (mean ± standard error over seeds)" : "lines";
  const notes = [`${drawn.length} ${what}`, `minimum and maximum of up to ${data.points} parts of each, more at its start`];
  if (notFinite) notes.push(`${notFinite} with NaN or infinity, which leave gaps`);
  byId("curves-note").textContent = drawn.length
    ? notes.join(" · ")
    : metric
      ? "Nothing to draw: no curve of this metric is shown."
      : "No experiment has logged metrics.";
  byId("curves").setAttribute("aria-label", `Learning curves: ${metric} over ${over}, ${drawn.length} lines`);
  colourBoxes();
}

/** Return the two edges of a band, with the space between them filled. */
function bandTraces(seeds, color, opacity, logY) {
  const at = [...seeds.x.keys()].filter((i) => seeds.count[i] > 1 && Number.isFinite(seeds.mean[i]));
  // A logarithmic axis has no place for what is not positive: there the band ends at the lowest mean.
  const floor = logY ? extent(at.map((i) => seeds.mean[i]).filter((mean) => mean > 0))[0] : -Infinity;
  const edge = { x: at.map((i) => seeds.x[i]), mode: "lines", line: { width: 0, color }, hoverinfo: "skip" };
  return [
    {
      ...edge,
      y: at.map((i) => {
        const low = seeds.mean[i] - seeds.error[i];
        return low > 0 ? low : Math.max(low, floor);
      }),
    },
    {
      ...edge,
      y: at.map((i) => seeds.mean[i] + seeds.error[i]),
      fill: "tonexty",
      fillcolor: transparent(color, opacity),
    },
  ];
}
