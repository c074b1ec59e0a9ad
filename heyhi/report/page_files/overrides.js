// The card of the overrides against a metric: a scatter, or parallel coordinates, and choosing in all plots.

function drawOverrides() {
  const parallel = byId("shape").value === "parallel";
  byId("overrides").hidden = false;
  byId("scatter-x-label").hidden = parallel;
  byId("scatter-log-label").hidden = parallel || !columnNamed(byId("scatter-x").value)?.numeric;
  (parallel ? drawParallel : drawScatter)();
}

/** What a plot tells about a row when one points at it. */
const hoverTexts = (row) => [plotText(cut(rowLabel(row), 90)), plotText(cut(idsText(data.members[row]), 70))];

function drawScatter() {
  setHeight(byId("overrides"), null);
  pickedBy = null;
  const x = columnNamed(byId("scatter-x").value);
  const y = columnNamed(byId("scatter-y").value);
  if (!x || !y) return nothingToDraw();
  const texts = sortedTexts(x.distinct);
  const place = new Map(texts.map((text, i) => [text, i]));
  const xOf = (row) => (x.numeric ? asNumber(x.values[row]) : place.get(exactText(x.values[row])));
  const fits = (row) =>
    x.values[row] !== null &&
    y.values[row] !== null &&
    Number.isFinite(asNumber(y.values[row])) &&
    Number.isFinite(xOf(row));
  const log = x.numeric && byId("scatter-log").checked;
  const rows = shownRows.filter((row) => fits(row) && (!log || xOf(row) > 0));
  const [leftOut, best] = [rowsLeftOut(shownRows, x, y, log), y.best];
  if (!rows.length) return nothingToDraw(leftOut);
  const colours = colouring();
  const drawn = thinnedRows(rows, MOST_DOTS, (row) => best.has(row));
  pickedBy = ([left, right], [low, high]) =>
    rows.filter((row) => xOf(row) >= left && xOf(row) <= right && asNumber(y.values[row]) >= low && asNumber(y.values[row]) <= high);
  const ticks = spread(texts.length, 20);
  const names = { tickvals: ticks, ticktext: ticks.map((i) => plotText(cut(texts[i], 24))) };
  showOverrides([scatterTrace(drawn, x, y, xOf, colours)], {
    xaxis: { ...(x.numeric ? axisNumbers(rows.map(xOf), log) : names), title: axisTitle(x.name) },
    yaxis: { ...axisNumbers(rows.map((row) => asNumber(y.values[row])), false), title: axisTitle(meaningOf(y, headingOf(y))) },
    dragmode: "select",
    uirevision: [x.name, y.name, log].join("\n"),
  });
  const isPart = !byId("colour").value && rows.some((row) => colours.of(row) === NONE);
  const hollow = rows.filter((row) => !rowCounts(row)).length;
  overridesNote(rows, leftOut, y, [
    "drag over points to choose them",
    ...drawnNote(drawn, rows),
    ...(hollow ? [`${hollow} hollow: not DONE, or left out`] : []),
    ...(isPart ? ["grey: not among the lines of the curves"] : []),
    ...(rows.some((row) => best.has(row)) ? [`★ best (${directionName(y)})`] : []),
  ]);
}

const [MOST_DOTS, MOST_PATHS] = [1000, 600]; // of a plot: more take long to draw, and lie upon one another
let pickedBy = null; // returns the rows in a frame that was dragged, also those that aren't drawn

/** Return some of the rows, evenly, with what is chosen and what else has to be seen. */
function thinnedRows(rows, most, isNeeded = () => false) {
  if (rows.length <= most) return rows;
  const kept = new Set(spread(rows.length, most).map((i) => rows[i]));
  let room = most; // of what is chosen, which may be all
  return rows.filter((row) => kept.has(row) || isNeeded(row) || (chosen.has(row) && room-- > 0));
}

const drawnNote = (drawn, rows) => (drawn.length < rows.length ? [`${drawn.length} of them are drawn`] : []);

function scatterTrace(rows, x, y, xOf, colours) {
  const best = y.best;
  const isAnyOn = rows.some((row) => chosen.has(row));
  const symbol = (row) => (best.has(row) ? "star" : rowCounts(row) ? "circle" : "circle-open");
  const size = (row) => (chosen.has(row) ? 13 : 8) + (best.has(row) ? 3 : 0);
  const errors = isMean() ? columnNamed(`${y.name}.${data.spread}`)?.values : null;
  return {
    x: rows.map(xOf),
    y: rows.map((row) => asNumber(y.values[row])),
    ...(errors && {
      error_y: { type: "data", array: rows.map((row) => errors[row] ?? 0), color: css("--quiet"), thickness: 1, width: 3 },
    }),
    mode: "markers",
    meta: { rows },
    customdata: rows.map((row) => [
      ...hoverTexts(row),
      plotText(cut(exactText(x.values[row]), 40)),
      plotText(cellText(y, row)),
      best.has(row) ? " ★ best" : rowCounts(row) ? "" : " (doesn't count)",
    ]),
    hovertemplate:
      `<b>%{customdata[0]}</b><br>${plotText(cut(meaningOf(y, y.name), 40))} %{customdata[3]}%{customdata[4]}<br>` +
      `at ${plotText(cut(x.name, 40))} %{customdata[2]}<br>%{customdata[1]}<extra></extra>`,
    marker: {
      color: rows.map(colours.of),
      symbol: rows.map(symbol),
      size: rows.map(size),
      opacity: rows.map((row) => (!isAnyOn || chosen.has(row) ? 0.9 : 0.3)),
      line: { color: css("--text"), width: rows.map((row) => (chosen.has(row) ? 2 : 0)) },
    },
  };
}

let drawings = 0;
function showOverrides(traces, extra) {
  extra = { height: byId("overrides").clientHeight, ...extra }; // what Plotly measured may be of another drawing
  // Points and rows show what is chosen: the frame that a drag leaves behind is done with at the next drawing.
  drawings += 1;
  drawOnce("overrides", traces, { ...layout(extra), selections: [], selectionrevision: drawings });
}

function nothingToDraw(leftOut = []) {
  setHeight(byId("overrides"), null);
  showOverrides([], { xaxis: { visible: false }, yaxis: { visible: false } });
  byId("overrides").hidden = true; // no empty room above what is said
  const why = leftOut.length ? leftOut.join(", ") : "an override that varies and a metric are needed";
  setText(byId("overrides-note"), rowCount() && !shownRows.length ? `${NONE_FITS}.` : `Nothing to draw: ${why}.`);
}

/** Say what is drawn, and what isn't. */
function overridesNote(rows, leftOut, metric, hints) {
  const drawn = `${rows.length} ${isMean() ? "row" : "experiment"}${rows.length === 1 ? "" : "s"}`;
  const notes = [drawn, ...hints, ...leftOut];
  setText(byId("overrides-note"), notes.join(" · "));
  byId("overrides").setAttribute("aria-label", `Overrides against ${metric?.name ?? "nothing"}`);
}

const rowsOf = (points) => [
  ...new Set(points.flatMap(({ data: trace, pointNumber }) => trace.meta?.rows[pointNumber] ?? [])),
];

let areCurvesLinked = false;

function linkCurves() {
  if (!areCurvesLinked) byId("curves").on("plotly_click", ({ points, event }) => choose(rowsOfLine(points[0]), event));
  areCurvesLinked = true;
}

function linkPlots() {
  followWidth();
  byId("overrides").on("plotly_click", ({ points, event }) => choose(rowsOf(points.slice(0, 1)), event));
  byId("overrides").on("plotly_selected", (selected) => {
    const frame = selected?.range;
    const sorted = (ends) => [...ends].sort((a, b) => a - b);
    const rows = frame?.x && pickedBy ? pickedBy(sorted(frame.x), sorted(frame.y)) : rowsOf(selected?.points ?? []);
    if (rows.length) choose(rows, {});
  });
}
