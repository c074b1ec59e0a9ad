// A plot is drawn once: Plotly draws all of it again where the labels of its axes need more room than was left for them.

const MUCH = 20_000; // points of lines, below which a second drawing is nothing
const MARKER = 50; // points of a line that take as long as a marker
const framed = new Map(); // plot -> for which axes there is room

/** Draw a plot; where there is much in it, find out first how much room its axes need. */
function drawOnce(id, traces, wanted) {
  const plot = byId(id);
  if (effortOf(traces) < MUCH) {
    framed.delete(id);
    return Plotly.react(id, traces, wanted, modeBar());
  }
  const axes = `${wanted.uirevision}\n${plot.clientWidth}`;
  if (framed.get(id) !== axes) Plotly.react(id, framesOf(traces, wanted), wanted, modeBar());
  framed.set(id, axes);
  const { l, r, t, b } = { ...wanted.margin, ...plot._fullLayout?._size };
  return Plotly.react(id, traces, { ...wanted, margin: { l, r, t, b } }, modeBar());
}

const effortOf = (traces) =>
  traces.reduce((sum, { x, mode }) => sum + x.length * (mode.includes("markers") ? MARKER : 1), 0);

/** Return as many points as it takes to have the same axes. */
function framesOf(traces, wanted) {
  const frames = new Map();
  for (const { x, y, xaxis = "x", yaxis = "y", mode, marker } of traces) {
    const key = `${xaxis} ${yaxis} ${mode}`;
    if (!frames.has(key)) frames.set(key, { xaxis, yaxis, mode, marker: { size: 0 }, x: [], y: [] });
    const frame = frames.get(key);
    frame.x.push(...shownExtent(x, wanted[xaxis.replace("x", "xaxis")]));
    frame.y.push(...shownExtent(y, wanted[yaxis.replace("y", "yaxis")]));
    const sizes = marker?.size;
    frame.marker.size = Math.max(frame.marker.size, ...(Array.isArray(sizes) ? [extent(sizes)[1]] : [sizes ?? 6]));
  }
  return [...frames.values()];
}

/** Return the ends of what an axis can show. */
function shownExtent(values, axis) {
  return finiteExtent(axis?.type === "log" ? values.filter((value) => value > 0) : values);
}
