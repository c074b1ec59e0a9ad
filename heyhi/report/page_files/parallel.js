// Parallel coordinates of the overrides and a metric.

/** Draw parallel coordinates in the card of the overrides. */
function drawParallel() {
  const metric = columnNamed(byId("scatter-y").value);
  const used = [...searchedColumns(), ...(metric ? [metric] : [])];
  const rows = shownRows.filter((row) => !metric || Number.isFinite(asNumber(metric.values[row]) ?? NaN));
  const leftOut = rowsLeftOut(shownRows, null, metric, false);
  if (!used.length || !rows.length) return nothingToDraw(used.length ? leftOut : []);
  showOverrides(...parallelPlot(used, rows, colouring().of, byId("overrides").clientWidth));
  overridesNote(rows, leftOut, metric, ["drag over an axis to choose"]);
}

/** Overrides that vary: seeds are no setting that somebody looks for. */
const searchedColumns = () => overrides().filter((column) => column.distinct.length > 1 && !column.replicate);

/**
 * Return the traces and the layout of parallel coordinates, as lines of an ordinary plot. Plotly's own kind (parcoords) compiles code as it
 * runs, which the page's policy forbids, and needs WebGL, which remote desktops lack.
 */
function parallelPlot(used, rows, colourOf, width) {
  const axes = used.map((column) => parallelAxis(column, rows));
  const paths = new Map(); // one trace a colour, not one a row: thousands of rows stay fast
  for (const row of rows) {
    const [color, on] = [colourOf(row), chosen.has(row)];
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
    textfont: { size: 11, color: css("--text") },
    hoverinfo: "skip",
  });
  const room = width / axes.length / 8; // letters of a name that stands level
  const extra = {
    xaxis: {
      tickvals: axes.map((_, i) => i),
      ticktext: axes.map((axis) => plotText(cut(axis.name, 18))),
      ticklabeloverflow: "allow",
      tickangle: axes.some((axis) => axis.name.length > room) ? -20 : 0,
      range: [-0.75, axes.length - 0.85],
      gridcolor: css("--quiet"),
      automargin: false,
      side: "top",
    },
    yaxis: { visible: false, range: [-0.06, 1.06] },
    margin: { l: 8, r: 90, t: 56, b: 8 },
    dragmode: "select",
    uirevision: `parallel ${used.map((column) => column.name).join("\n")}`,
  };
  return [traces, extra];
}

/**
 * Return an axis from 0 to 1: numbers by size or logarithm, texts by their order.
 *
 * What isn't there, such as a key of what wasn't chosen, has a place of its own below the numbers.
 */
function parallelAxis(column, rows) {
  const values = rows.map((row) => column.values[row]);
  const text = (row) => plotText(`${column.name} ${cut(exactText(column.values[row]) || "–", 40)}`);
  const between = (low, high) => (value) => (high > low ? (value - low) / (high - low) : 0.5);
  const given = values.filter((value) => value !== null).map(asNumber);
  if (!column.numeric || given.some((value) => !Number.isFinite(value))) {
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
  const distinct = [...new Set(given)].sort((a, b) => a - b);
  const [low, high] = [distinct[0], distinct.at(-1)];
  const bend = spansOrders(distinct) ? Math.log10 : (value) => value;
  const gap = given.length < values.length ? 0.15 : 0;
  const within = between(bend(low), bend(high));
  const scale = (value) => gap + (1 - gap) * within(value);
  const few = distinct.length <= 5;
  const ticks = few
    ? distinct
    : [0, 0.25, 0.5, 0.75, 1].map((part) =>
        bend === Math.log10 ? low * (high / low) ** part : low + part * (high - low),
      );
  return {
    name: column.name,
    text,
    place: (row) => (column.values[row] === null ? 0 : scale(bend(asNumber(column.values[row])))),
    ticks: [
      ...(gap ? [[0, "–"]] : []),
      ...ticks.map((tick) => [scale(bend(tick)), String(Number(tick.toPrecision(few ? 4 : 3)))]),
    ],
  };
}
