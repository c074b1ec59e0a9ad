// A plot that is saved as a drawing: with the legend that the page shows beside it, and light, as paper is.

const THEME_COLOURS = ["--text", "--quiet", "--grid", "--card", "--accent"];

/** Return the colours of the theme, as they are on light pages. */
function lightColours() {
  const root = document.documentElement.dataset;
  const [now, before] = [THEME_COLOURS.map(css), root.theme];
  root.theme = "light";
  const light = THEME_COLOURS.map(css);
  root.theme = before; // nothing was painted in between
  return new Map(now.map((color, i) => [color, light[i]]));
}

/** Return a copy of a description with other colours; numbers and texts of data are taken as they are. */
function recoloured(value, colours) {
  if (typeof value === "string") return colours.get(value) ?? value;
  if (Array.isArray(value)) return value.map((one) => recoloured(one, colours));
  if (value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [key, DATA_KEYS.has(key) ? one : recoloured(one, colours)]),
  );
}

const DATA_KEYS = new Set(["x", "y", "text", "customdata", "meta", "name", "array", "ticktext", "tickvals"]);

/** Save a plot. */
function saveDrawing(plot) {
  const colours = lightColours();
  const place = new Map(shownRows.map((row, i) => [row, i]));
  const traces = plot.data.map((trace) => ({
    ...recoloured(trace, colours),
    legendrank: 1000 + (place.get(trace.meta?.rows[0]) ?? shownRows.length), // as the page's legend has them
  }));
  const drawing = {
    ...recoloured(plot.layout, colours),
    showlegend: traces.some((trace) => trace.showlegend),
    legend: { font: { color: colours.get(css("--text")) }, traceorder: "normal" },
    paper_bgcolor: "#ffffff",
    autosize: false,
  };
  const name = `${data.title} ${plot.getAttribute("aria-label")}`.replace(/[^A-Za-z0-9._=-]+/g, "_").slice(0, 120);
  const named = traces.filter((trace) => trace.showlegend).length;
  const height = Math.max(plot.clientHeight, 60 + 20 * named); // for all of the legend
  return Plotly.downloadImage(
    { data: traces, layout: { ...drawing, height } },
    { format: "svg", filename: name, width: Math.max(plot.clientWidth, 640), height },
  );
}
