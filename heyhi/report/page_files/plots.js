// What all plots share: colours, axes, the picture that is saved, and how Plotly is set up.

// ---- Colours ----

const PALETTE = [
  "#4e79a7",
  "#f28e2b",
  "#59a14f",
  "#e15759",
  "#b07aa1",
  "#76b7b2",
  "#c9a227",
  "#d37295",
  "#9c755f",
  "#7b8794",
];
const SCALE = ["#4a6fdc", "#3a92c9", "#35a8a0", "#57b36a", "#9aba3c", "#d3b02f", "#ee8f2f", "#e8643c", "#d0374a"];
const STATUS = {
  DONE: "#3f9142",
  RUNNING: "#2f7ed8",
  PENDING: "#c79a1b",
  PRUNED: "#3f8f8f",
  DEAD: "#d64545",
  UNKNOWN: "#b5532a",
  BLOCKED: "#9b5fc0",
  NOT_STARTED: "#8a94a0",
};
const NONE = "#9aa3ad";

/** Return the colour of a status; of `1/3 DEAD, 2/3 DONE` that of what isn't DONE. */
function statusColour(text) {
  const found = text.split(/[ ,]+/).filter((word) => Object.hasOwn(STATUS, word));
  return STATUS[found.find((word) => word !== "DONE") ?? found[0]] ?? NONE;
}

const swatch = (color) => {
  const element = make("span", { className: "swatch" });
  element.style.setProperty("--colour", color);
  return element;
};

/** Return a colour such as #4e79a7 with an opacity from 0 to 1. */
function transparent(color, opacity) {
  const byte = Math.round(opacity * 255);
  return `${color}${byte.toString(16).padStart(2, "0")}`;
}

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// ---- Plots ----

const modeBar = () => ({
  displaylogo: false,
  responsive: true,
  // Named one by one: the default bar can send a chart to a server.
  modeBarButtons: [
    [
      "zoom2d",
      "pan2d",
      "select2d",
      "resetScale2d",
      { name: "svg", title: "Download as SVG", icon: Plotly.Icons.camera, click: saveDrawing },
    ],
  ],
});

const touch = matchMedia("(pointer: coarse)");
const axis = () => ({
  gridcolor: css("--grid"),
  zeroline: false,
  linecolor: css("--grid"),
  ticks: "",
  automargin: true,
});

function layout(extra) {
  const merged = {
    margin: { l: 48, r: 12, t: 8, b: 40 },
    font: { family: css("--font"), size: 12, color: css("--text") },
    paper_bgcolor: "transparent",
    plot_bgcolor: "transparent",
    modebar: { bgcolor: "transparent", color: css("--quiet"), activecolor: css("--accent") },
    hoverlabel: {
      bgcolor: css("--card"),
      bordercolor: css("--grid"),
      font: { color: css("--text"), family: css("--font") },
      align: "left",
    },
    hovermode: "closest",
    showlegend: false,
    ...extra,
  };
  if (touch.matches) merged.dragmode = false; // a finger on a plot scrolls the page
  for (const name of ["xaxis", "yaxis", ...Object.keys(extra).filter((key) => /^[xy]axis\d+$/.test(key))])
    merged[name] = { ...axis(), ...extra[name] };
  return merged;
}

/** Make a plot as high as what it shows needs, null for its usual height, and return how high it is. */
function setHeight(plot, height) {
  if (height === null) plot.style.removeProperty("--height");
  else plot.style.setProperty("--height", `${height}px`);
  return plot.clientHeight;
}

const axisTitle = (text) => ({ text: plotText(cut(text, 60)), standoff: 10 });

/** Return how an axis writes its numbers: small ones as 1e-4, counts of thousands as 20k. */
function axisNumbers(values, log) {
  const [low, high] = extent(values.filter((value) => Number.isFinite(value) && value !== 0).map(Math.abs));
  if (log) return { type: "log", exponentformat: "e", dtick: high / low >= 100 ? 1 : undefined };
  return { type: "linear", exponentformat: high >= 1000 ? "SI" : "e" };
}
