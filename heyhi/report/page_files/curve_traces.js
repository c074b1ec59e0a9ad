// The learning curves as Plotly draws them: lines and bands of one metric in one chart.

const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
// Of many lines, the same four times as long. A browser paints a line of one pixel five times as fast as a wider one,
// and the shorter its dashes are the longer they take: five hundred wide dotted lines took ten seconds.
const LONG_DASHES = ["solid", "36px,36px", "12px,12px", "36px,12px,12px,12px", "60px,60px", "60px,12px,12px,12px"];
const [THICK, USUAL, THIN] = [2.6, 1.6, 1]; // pixels

/** Return the dashes of the metric at a place, of those that one chart has. */
const dashAt = (place, isMany) => (isMany ? LONG_DASHES : DASHES)[place % DASHES.length];

/**
 * Return the traces of a bundle's metric; none where it has no such curve.
 *
 * What is worked out, a band or a smooth line, is so of the means of a long curve's parts; else all is drawn that there
 * is. `used` are all curves; `dotted` the runs that no mean counts, `apart` those that are over something else, `far` the
 * lines that are left out. What runs still is as other lines are where there is no band beside it.
 */
function bundleTraces(bundle, style) {
  const found = (runs) => runs.map((run) => curve(run, style.metric, style.over)).filter((line) => line);
  const [far, isFar] = [[], style.reach.isFar];
  const curves = (runs) => found(runs).filter((line) => !isFar(line) || (far.push(line), false));
  const [all, notCounting] = [curves(bundle.counting), curves(bundle.others)];
  const over = commonAxis(all, style.over);
  const [counting, apart] = [all.filter((line) => line.over === over), all.filter((line) => line.over !== over)];
  const isBand = counting.length > 1;
  const running = isBand ? [] : notCounting.filter((line) => UNDER_WAY.has(whyNot(line.run)));
  const others = notCounting.filter((line) => !running.includes(line));
  const isSmooth = isBand || style.weight > 0;
  const shown = (line) => (isSmooth ? smoothLine(line, style.weight) : line); // beside a band as the band is
  const thin = [
    ...others.map((line) => thinTrace(shown(line), bundle, style, `doesn't count: ${whyNot(line.run)}`)),
    ...apart.map((line) => thinTrace(shown(line), bundle, style, `over ${line.over}, so that no mean counts it`)),
  ];
  const traces = thin.map((trace, i) => ({ ...trace, showlegend: style.inLegend && !counting.length && i === 0 }));
  const lines = counting.map(shown);
  if (isBand) traces.push(...meanTraces(lines, bundle, style));
  else
    for (const line of [...running, ...counting]) {
      if (style.weight && style.showRaw) traces.push(rawTrace(line, bundle, style));
      traces.push(lineTrace(shown(line), bundle, style));
    }
  return {
    traces,
    isBand,
    used: [...all, ...notCounting],
    far,
    dotted: others.map((line) => line.run),
    apart: apart.map((line) => line.run),
    ofParts: isSmooth && [...all, ...notCounting].some((line) => line.isThin),
  };
}

const UNDER_WAY = new Set(["RUNNING", "PENDING"]); // statuses of what may count one day

/** Return over what a band is: what is asked for, where a run has it, else what most runs have. */
function commonAxis(lines, wanted) {
  const share = new Map();
  for (const { over } of lines) share.set(over, (share.get(over) ?? 0) + 1);
  return share.has(wanted) ? wanted : [...share].sort((a, b) => b[1] - a[1])[0]?.[0];
}

function baseTrace(bundle, style) {
  return {
    mode: "lines",
    line: { color: style.color, width: bundle.on && !style.areManyOn ? THICK : style.isMany ? THIN : USUAL, dash: style.dash },
    marker: { color: style.color },
    opacity: style.faint ? 0.22 : 1,
    name: plotText(cut(`${bundle.best ? "★ " : ""}${style.name}`, 70)),
    xaxis: style.xaxis,
    yaxis: style.yaxis,
  };
}

/** Return what a curve says when one points at it: which run it is of, always. */
function hover(label, style, ids, value = "%{y:.5~g}") {
  const [name, metric, id] = [cut(label, 90), style.metric, cut(ids, 90)].map(plotText);
  return {
    meta: { ...style.meta, label: name, metric, id },
    hovertemplate:
      `<b>%{meta.label}</b><br>%{meta.metric} ${value}<br>` +
      `at ${plotText(style.axisName)} %{x:,~f}<br>%{meta.id}<extra></extra>`,
  };
}

function lineTrace(line, bundle, style) {
  return {
    ...baseTrace(bundle, style),
    ...hover(runsLabel([line.run]), style, shortId(line.run)),
    x: line.x,
    y: line.y,
    mode: line.x.length === 1 ? "markers" : "lines",
    showlegend: style.inLegend,
  };
}

/** Draw what was logged behind what is smoothed. */
function rawTrace(line, bundle, style) {
  return {
    ...baseTrace(bundle, style),
    x: line.x,
    y: line.y,
    line: { color: style.color, width: THIN },
    opacity: style.faint ? 0.08 : 0.25,
    hoverinfo: "skip",
    showlegend: false,
  };
}

/** Draw a run that isn't in the mean of the others, beside it. */
function thinTrace(line, bundle, style, why) {
  return {
    ...lineTrace(line, bundle, style),
    ...hover(`${runsLabel([line.run])} (${why})`, style, shortId(line.run)),
    line: { color: style.color, width: THIN, dash: dashAt(DASHES.indexOf("dot"), style.isMany) },
    opacity: style.faint ? 0.15 : 0.6,
  };
}

const whyNot = (run) =>
  exactText(runValueOf("excluded", run)) === "true" ? "excluded" : exactText(runValueOf("status", run)) || "left out";

function meanTraces(lines, bundle, style) {
  const seeds = band(lines);
  const versions = bundle.versions > 1 ? `, code ${bundle.versions} versions` : "";
  const value = "%{y:.5~g} ± %{customdata[0]:.2~g}";
  const told = `mean ± ${bandName()} of %{customdata[1]}${versions}`;
  const mean = {
    ...baseTrace(bundle, style),
    ...hover(bundle.name, style, idsText(lines.map((line) => line.run)), `${value}<br>${told}`),
    x: seeds.x,
    y: seeds.mean,
    customdata: seeds.mean.map((_, i) => [seeds.error[i], seeds.count[i]]),
    mode: seeds.x.length === 1 ? "markers" : "lines",
    showlegend: style.inLegend,
  };
  return [...bandTraces(seeds, style), mean];
}

/** Return the two edges of each unbroken piece of a band, with the space between them filled. */
function bandTraces(seeds, style) {
  const pieces = [];
  let isOpen = false;
  seeds.count.forEach((count, i) => {
    if (count > 1 && !isOpen) pieces.push([]);
    isOpen = count > 1;
    if (isOpen) pieces[pieces.length - 1].push(i);
  });
  // A logarithmic axis has no place for what is not positive: there the band ends at the lowest mean.
  const positive = pieces.flat().map((i) => seeds.mean[i]);
  const floor = style.logY ? extent(positive.filter((mean) => mean > 0))[0] : -Infinity;
  return pieces.flatMap((at) => bandEdges(at, seeds, floor, style));
}

function bandEdges(at, seeds, floor, style) {
  const edge = {
    x: at.map((i) => seeds.x[i]),
    mode: "lines",
    line: { width: 0, color: style.color },
    hoverinfo: "skip",
    showlegend: false,
    xaxis: style.xaxis,
    yaxis: style.yaxis,
  };
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
      fillcolor: transparent(style.color, style.faint ? 0.06 : 0.2),
    },
  ];
}
