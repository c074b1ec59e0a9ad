// The plot of overrides against a metric, as a scatter or as parallel coordinates, and choosing in both plots.

function drawOverrides() {
  const parallel = byId("shape").value === "parallel";
  byId("scatter-x-label").hidden = parallel;
  byId("scatter-log-label").hidden = parallel || !columnNamed(byId("scatter-x").value)?.numeric;
  (parallel ? drawParallel : drawScatter)();
}

function drawScatter() {
  const x = columnNamed(byId("scatter-x").value);
  const y = columnNamed(byId("scatter-y").value);
  if (!x || !y) return nothingToDraw();
  const colours = colouring();
  const texts = sortedTexts(x.distinct);
  const place = new Map(texts.map((text, i) => [text, i]));
  const xOf = (row) => (x.numeric ? asNumber(x.values[row]) : place.get(x.values[row]));
  const fits = (row) =>
    x.values[row] !== null &&
    y.values[row] !== null &&
    Number.isFinite(asNumber(y.values[row])) &&
    Number.isFinite(xOf(row));
  const rows = shownRows.filter(fits);
  const some = chosen.size > 0;
  const trace = {
    x: rows.map(xOf),
    y: rows.map((row) => asNumber(y.values[row])),
    mode: "markers",
    meta: { rows },
    customdata: rows.map((row) => [...hoverTexts(row), plotText(cut(exactText(x.values[row]), 40))]),
    hovertemplate: "<b>%{customdata[0]}</b><br>%{y:.5~g} at %{customdata[2]}<br>%{customdata[1]}<extra></extra>",
    marker: {
      color: rows.map(colours.of),
      size: rows.map((row) => (chosen.has(row) ? 13 : 8)),
      opacity: rows.map((row) => (!some || chosen.has(row) ? 0.9 : 0.3)),
      line: { color: css("--text"), width: rows.map((row) => (chosen.has(row) ? 2 : 0)) },
    },
  };
  const log = x.numeric && byId("scatter-log").checked;
  const ticks = spread(texts.length, 20);
  const named = { tickvals: ticks, ticktext: ticks.map((i) => plotText(cut(texts[i], 40))) };
  showOverrides([trace], {
    xaxis: { title: axisTitle(x.name), type: log ? "log" : "linear", ...(x.numeric ? {} : named) },
    yaxis: { title: axisTitle(y.name) },
    dragmode: "select",
    uirevision: [x.name, y.name, log].join("\n"),
  });
  overridesNote(rows.length, "drag over points to choose them");
}

/**
 * Draw parallel coordinates as lines of an ordinary plot. Plotly's own kind (parcoords) compiles code as it
 * runs, which the page's policy forbids, and needs WebGL, which remote desktops lack.
 */
function drawParallel() {
  const metric = columnNamed(byId("scatter-y").value);
  const used = [...overrides.filter((column) => column.distinct.length > 1), ...(metric ? [metric] : [])];
  const rows = shownRows.filter((row) => !metric || Number.isFinite(asNumber(metric.values[row]) ?? NaN));
  if (!used.length || !rows.length) return nothingToDraw();
  const colours = colouring();
  const axes = used.map((column) => parallelAxis(column, rows));
  const paths = new Map(); // one trace a colour, not one a row: thousands of rows stay fast
  for (const row of rows) {
    const [color, on] = [colours.of(row), chosen.has(row)];
    const key = `${color} ${on}`;
    if (!paths.has(key)) paths.set(key, { color, on, points: [] });
    const texts = hoverTexts(row);
    const { points } = paths.get(key);
    axes.forEach((axis, x) => points.push({ row, x, y: axis.place(row), texts: [...texts, axis.text(row)] }));
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
      opacity: !chosen.size || on ? 0.85 : 0.2,
      meta: { rows: points.map((point) => point.row) },
      customdata: points.map((point) => point.texts),
      hovertemplate: "<b>%{customdata[0]}</b><br>%{customdata[2]}<br>%{customdata[1]}<extra></extra>",
      // What is chosen by a drag is shown by the next drawing, as any other choice.
      selected: { marker: { opacity: 1 } },
      unselected: { marker: { opacity: 1 } },
    }));
  traces.push({
    x: axes.flatMap((axis, i) => axis.ticks.map(() => i)),
    y: axes.flatMap((axis) => axis.ticks.map(([place]) => place)),
    text: axes.flatMap((axis) => axis.ticks.map(([, text]) => `${plotText(cut(text, 14))} `)),
    mode: "text",
    textposition: "middle left",
    textfont: { size: 11, color: css("--quiet") },
    hoverinfo: "skip",
  });
  showOverrides(traces, {
    xaxis: {
      tickvals: axes.map((_, i) => i),
      ticktext: axes.map((axis) => plotText(cut(axis.name, 18))),
      ticklabeloverflow: "allow",
      tickangle: axes.length > 5 ? -20 : 0,
      range: [-0.75, axes.length - 0.85],
      gridcolor: css("--quiet"),
      side: "top",
    },
    yaxis: { visible: false, range: [-0.06, 1.06] },
    margin: { l: 8, r: 48, t: 48, b: 8 },
    dragmode: "select",
    uirevision: `parallel ${used.map((column) => column.name).join("\n")}`,
  });
  overridesNote(rows.length, "drag over an axis to choose");
}

/** Return an axis from 0 to 1: numbers by size or logarithm; texts, and columns with gaps, by their order. */
function parallelAxis(column, rows) {
  const values = rows.map((row) => column.values[row]);
  const text = (row) => plotText(`${column.name} ${cut(exactText(column.values[row]) || "–", 40)}`);
  const between = (low, high) => (value) => (high > low ? (value - low) / (high - low) : 0.5);
  if (!column.numeric || values.some((value) => !Number.isFinite(asNumber(value) ?? NaN))) {
    const order = sortedTexts([...new Set(values.map(exactText))]);
    const scale = between(0, order.length - 1);
    const place = new Map(order.map((text, i) => [text, scale(i)]));
    return {
      name: column.name,
      text,
      place: (row) => place.get(exactText(column.values[row])),
      ticks: spread(order.length, 10).map((i) => [scale(i), order[i] || "–"]),
    };
  }
  const distinct = [...new Set(values.map(asNumber))].sort((a, b) => a - b);
  const [low, high] = [distinct[0], distinct.at(-1)];
  const bend = spansOrders(distinct) ? Math.log10 : (value) => value;
  const scale = between(bend(low), bend(high));
  const few = distinct.length <= 5;
  const ticks = few
    ? distinct
    : [0, 0.25, 0.5, 0.75, 1].map((part) =>
        bend === Math.log10 ? low * (high / low) ** part : low + part * (high - low),
      );
  return {
    name: column.name,
    text,
    place: (row) => scale(bend(asNumber(column.values[row]))),
    ticks: ticks.map((tick) => [scale(bend(tick)), String(Number(tick.toPrecision(few ? 6 : 3)))]),
  };
}

let drawings = 0;
function showOverrides(traces, extra) {
  // Points and rows show what is chosen: the frame that a drag leaves behind is done with at the next drawing.
  drawings += 1;
  Plotly.react("overrides", traces, { ...layout(extra), selections: [], selectionrevision: drawings }, modeBar);
}

function nothingToDraw() {
  showOverrides([], {});
  byId("overrides-note").textContent = "Nothing to draw: an override that varies and a metric are needed.";
}

function overridesNote(count, hint) {
  const left = shownRows.length - count;
  byId("overrides-note").textContent = [
    `${count} experiments, ${hint}`,
    ...(left ? [`${left} without finite values left out`] : []),
  ].join(" · ");
}

const rowsOf = (points) => [
  ...new Set(points.flatMap(({ data: trace, pointNumber }) => trace.meta?.rows[pointNumber] ?? [])),
];

function linkPlots() {
  byId("curves").on("plotly_click", ({ points, event }) => choose(points[0].data.meta.rows, event));
  byId("overrides").on("plotly_click", ({ points, event }) => choose(rowsOf(points.slice(0, 1)), event));
  byId("overrides").on("plotly_selected", (selected) => {
    if (selected?.points.length) choose(rowsOf(selected.points), {});
  });
}
