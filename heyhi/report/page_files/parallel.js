// Parallel coordinates of the overrides and a metric.

/** Draw parallel coordinates in the card of the overrides. */
function drawParallel() {
  pickedBy = null;
  const metric = columnNamed(byId("scatter-y").value);
  const used = [...searchedColumns(), ...(metric ? [metric] : [])];
  const rows = shownRows.filter((row) => !metric || Number.isFinite(asNumber(metric.values[row]) ?? NaN));
  const leftOut = rowsLeftOut(shownRows, null, metric, false);
  if (!used.length || !rows.length) return nothingToDraw(used.length ? leftOut : []);
  const best = bestRows(metric);
  const drawn = thinnedRows(rows, MOST_PATHS, (row) => best.has(row));
  const [traces, extra, placesOf] = parallelPlot(used, rows, colouring().of, byId("overrides"), drawn);
  pickedBy = ([left, right], [low, high]) =>
    rows.filter((row) => placesOf(row).some(({ x, y }) => x >= left && x <= right && y >= low && y <= high));
  showOverrides(traces, extra);
  overridesNote(rows, leftOut, metric, ["drag over an axis to choose", ...drawnNote(drawn, rows)]);
}

/** Overrides that vary: seeds are no setting that somebody looks for. */
const searchedColumns = () => overrides().filter((column) => column.isVaried && !column.replicate);

/**
 * Return the traces and the layout of parallel coordinates, as lines of an ordinary plot. Plotly's own kind (parcoords) compiles code as it
 * runs, which the page's policy forbids, and needs WebGL, which remote desktops lack.
 * Axes are as all rows need them; third comes where a row's points are.
 */
function parallelPlot(used, rows, colourOf, plot, drawn = rows) {
  const axes = used.map((column) => parallelAxis(column, rows));
  const frame = frameOf(axes, plot);
  const isAnyOn = drawn.some((row) => chosen.has(row));
  const paths = new Map(); // one trace a colour, not one a row: thousands of rows stay fast
  for (const row of drawn) {
    const [color, on] = [colourOf(row), chosen.has(row)];
    const key = `${color} ${on}`;
    if (!paths.has(key)) paths.set(key, { color, on, points: [] });
    const texts = hoverTexts(row);
    const { points } = paths.get(key);
    axes.forEach((axis, x) => points.push({ row, ...frame.at(x, axis.place(row)), texts: [...texts, axis.text(row)] }));
    points.push({ row, x: null, y: null, texts }); // the gap to the next row's line
  }
  const traces = [...paths.values()]
    .sort((a, b) => a.on - b.on)
    .map(({ color, on, points }) => ({
      x: points.map((point) => point.x),
      y: points.map((point) => point.y),
      mode: "lines+markers",
      line: { color, width: on ? 3 : 1.2 },
      marker: { color, size: on ? 7 : 4 },
      opacity: !isAnyOn || on ? 0.85 : 0.2,
      meta: { rows: points.map((point) => point.row) },
      customdata: points.map((point) => point.texts),
      hovertemplate: "<b>%{customdata[0]}</b><br>%{customdata[2]}<br>%{customdata[1]}<extra></extra>",
      // What is chosen by a drag is shown by the next drawing, as any other choice.
      selected: { marker: { opacity: 1 } },
      unselected: { marker: { opacity: 1 } },
    }));
  traces.push(frame.labels);
  const uirevision = ["parallel", frame.lies, ...used.map((column) => column.name)].join("\n");
  const placesOf = (row) => axes.map((axis, x) => frame.at(x, axis.place(row)));
  return [traces, { ...frame.extra, dragmode: "select", uirevision }, placesOf];
}

/**
 * Return how axes stand: side by side, or one below the other where their labels have no room so.
 *
 * Plotly keeps room free for labels of its own axes, also where these aren't shown: `automargin` is off in all of them.
 */
function frameOf(axes, plot) {
  setHeight(plot, null);
  const room = plot.clientWidth - MARGIN.l - MARGIN.r;
  const needed = axes.map((axis) => Math.max(widestOf(axis) + TICK_GAP, NAMES_APART));
  return sumOf(needed) > room - POINT ? levelFrame(axes, plot) : uprightFrame(axes, plot, placesIn(room - POINT, needed));
}

/** Return where axes stand side by side, in pixels: evenly, but for those whose labels need more room before them. */
function placesIn(room, needed) {
  const [first, ...others] = needed;
  let [step, wide] = [0, []];
  for (let last = -1; last !== wide.length; ) {
    last = wide.length;
    step = (room - first - sumOf(wide)) / Math.max(others.length - wide.length, 1);
    wide = others.filter((one) => one > step);
  }
  const places = [first];
  for (const one of others) places.push(places.at(-1) + Math.max(one, step));
  return places;
}

const POINT = 6; // pixels that a point on the last axis reaches beyond it
const NAMES_APART = 36; // pixels between two names that stand aslant
const MARGIN = { l: 4, r: 90, t: 56, b: 8 };
const LEVEL_MARGIN = { l: 14, r: 14, t: 34, b: 4 };
const LEVEL_ROOM = 50; // pixels from an axis to the next below it
const BEYOND = 0.06; // of an axis, on both sides

/** Return axes that stand side by side, at some places in pixels. */
function uprightFrame(axes, plot, places) {
  const height = (plot.clientHeight - MARGIN.t - MARGIN.b) / (1 + 2 * BEYOND);
  const along = ([place]) => [place * height, place * height + TICK_SIZE + 2];
  const names = axes.map((axis) => cut(axis.name, 18));
  const isTight = names.some((name, i) => {
    const width = textWidth(name, 12) + TICK_GAP;
    return width > (places[i + 1] ?? Infinity) - places[i] || width / 2 > places[0];
  });
  const labels = axes.flatMap((axis, i) =>
    ticksWithRoom(axis.ticks, along).map(([y, text]) => ({ x: places[i], y, text: `${text} `, side: "middle left" })),
  );
  const extra = {
    xaxis: {
      tickvals: places,
      ticktext: names.map(plotText),
      ticklabeloverflow: "allow",
      tickangle: isTight ? -20 : 0,
      range: [0, plot.clientWidth - MARGIN.l - MARGIN.r],
      gridcolor: css("--quiet"),
      automargin: false,
      side: "top",
    },
    yaxis: { visible: false, automargin: false, range: [-BEYOND, 1 + BEYOND] },
    margin: MARGIN,
    height: plot.clientHeight,
  };
  return { lies: false, at: (axis, place) => ({ x: places[axis], y: place }), labels: labelTrace(labels), extra };
}

/** Return axes that lie one below the other, each with its name above it. */
function levelFrame(axes, plot) {
  const height = setHeight(plot, LEVEL_MARGIN.t + LEVEL_MARGIN.b + LEVEL_ROOM * axes.length);
  const length = (plot.clientWidth - LEVEL_MARGIN.l - LEVEL_MARGIN.r) / (1 + 2 * BEYOND);
  const along = (tick) => levelExtent(tick, length);
  const labels = axes.flatMap((axis, y) => [
    { x: 0, y: y - 0.04, text: cut(axis.name, 40), side: "top right", color: css("--quiet") },
    ...ticksWithRoom(axis.ticks, along).map(([x, text]) => ({ x, y: y + 0.08, text, side: `bottom ${sideOf(x)}` })),
  ]);
  const extra = {
    xaxis: { visible: false, automargin: false, range: [-BEYOND, 1 + BEYOND] },
    yaxis: {
      tickvals: axes.map((_, i) => i),
      showticklabels: false,
      showline: false,
      range: [axes.length - 0.55, -0.45],
      gridcolor: css("--quiet"),
      automargin: false,
    },
    margin: LEVEL_MARGIN,
    height,
  };
  return { lies: true, at: (axis, place) => ({ x: place, y: axis }), labels: labelTrace(labels), extra };
}

const labelTrace = (labels) => ({
  x: labels.map(({ x }) => x),
  y: labels.map(({ y }) => y),
  text: labels.map(({ text }) => plotText(text)),
  mode: "text",
  textposition: labels.map(({ side }) => side),
  textfont: { size: TICK_SIZE, color: labels.map(({ color }) => color ?? css("--text")) },
  hoverinfo: "skip",
});

/** Draw parallel coordinates anew where their room has changed. */
function followWidth() {
  let width = innerWidth;
  addEventListener("resize", () => {
    if (width === innerWidth) return;
    width = innerWidth;
    if (byId("shape").value === "parallel") redraw(drawOverrides);
    if (byId("search-shape").value === "parallel") redraw(drawSearch);
  });
}
