// Many lines drawn as few traces: Plotly takes long for each trace, and little for a gap in one.

const MOST_TRACES = 100; // of lines; where there are more, those that look alike are one trace

/** Put lines that look alike together, where there are many; who points at one is told of it still. */
function merged(traces) {
  if (traces.length <= MOST_TRACES) return traces;
  const looks = new Map(); // in the order of their first lines: what is chosen stays on top
  traces.forEach((trace, place) => {
    const look = isPlainLine(trace) ? lookOf(trace) : `trace ${place}`;
    if (!looks.has(look)) looks.set(look, []);
    looks.get(look).push(trace);
  });
  return [...looks.values()].map((lines) => (lines.length > 1 ? mergedLines(lines) : lines[0]));
}

const isPlainLine = ({ mode, line, meta, fill, customdata }) =>
  mode === "lines" && line.width > 0 && meta?.label !== undefined && !fill && !customdata;

const lookOf = ({ line, opacity, xaxis, yaxis, hovertemplate, meta, showlegend }) =>
  JSON.stringify([line, opacity, xaxis, yaxis, hovertemplate, meta.metric, showlegend]);

function mergedLines(lines) {
  const length = lines.reduce((sum, { x }) => sum + x.length + 1, -1);
  const [x, y, customdata] = [new Float64Array(length), new Float64Array(length), new Array(length)];
  const starts = [];
  let at = 0;
  for (const line of lines) {
    starts.push(at);
    x.set(line.x, at);
    y.set(line.y, at);
    customdata.fill([line.meta.label, line.meta.id], at, at + line.x.length + 1);
    at += line.x.length + 1;
    if (at < length) [x[at - 1], y[at - 1]] = [NaN, NaN]; // the gap to the next line
  }
  customdata.length = length;
  const [first] = lines;
  return {
    ...first,
    ...{ x, y, customdata },
    hovertemplate: first.hovertemplate.replace("%{meta.label}", "%{customdata[0]}").replace("%{meta.id}", "%{customdata[1]}"),
    meta: { ...first.meta, rows: lines.flatMap(({ meta }) => meta.rows), starts, lines: lines.map(({ meta }) => meta.rows) },
  };
}

/** Return the rows of the line that a point of a plot is on. */
function rowsOfLine({ data: { meta }, pointNumber }) {
  if (!meta.lines) return meta.rows;
  return meta.lines[meta.starts.findLastIndex((start) => start <= pointNumber)];
}
