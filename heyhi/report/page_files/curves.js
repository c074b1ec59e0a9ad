// The card of the learning curves: one chart or one for each metric, their legend, and what is said of them.

let curveColours = new Map(); // row -> colour, of the rows that are drawn

const drawnMetrics = () =>
  [...byId("metrics").querySelectorAll("input:checked")]
    .map((input) => input.value)
    .filter((metric) => curveMetrics.includes(metric));

function drawCurves() {
  if (isHeld) return void (isDrawnLater = true);
  const began = performance.now();
  const metrics = drawnMetrics();
  const bundles = drawnBundles();
  const colours = colouring();
  const best = columnNamed(byId("scatter-y").value)?.best ?? new Set();
  bundles.forEach((bundle) => (bundle.best = bundle.rows.some((row) => best.has(row))));
  const multiples = metrics.length > 1 && byId("multiples").checked;
  // Where nothing else has to be told apart, metrics are by their colours.
  const byMetric = !multiples && metrics.length > 1 && bundles.length === 1;
  const [logX, logY] = [byId("log-x").checked, byId("log-y").checked];
  const charts = metrics.length ? (multiples ? chartsOf(metrics) : [metrics]) : [[]];
  const sights = inSight(charts);
  const width = byId("curves").clientWidth / chartsAcross(charts.length);
  if (isLive) wantCurves(bundles, charts.filter((_, chart) => sights[chart]).flat(), width);
  const areMany = (some) => some.length * metrics.length > MOST_TRACES;
  const [isMany, areManyOn] = [areMany(bundles), areMany(bundles.filter(({ on }) => on))];
  const traces = [];
  const drawn = new Set();
  const found = { axes: [], elsewhere: new Map(), ofParts: false, isThin: false, offLog: 0 };
  [found.far, found.high] = [new Map(), new Map()];
  const isAnyOn = bundles.some(({ on, runs }) => on && runs.some((run) => hasCurve(run, metrics)));
  found.isNoneOn = chosen.size > 0 && !isAnyOn;
  for (const some of ["bands", "notFinite", "dotted", "apart"]) found[some] = new Set();
  curveColours = new Map();

  charts.forEach((own, chart) => {
    const [over, suffix] = [axisFor(own), chart ? String(chart + 1) : ""];
    const [ranges, overs, before] = [{ x: [], y: [] }, new Set(), traces.length];
    const seenBundles = sights[chart] ? bundles : [];
    const reaches = own.map((metric) => reachOf(seenBundles, metric, over));
    const heights = own.map(() => []);
    for (const bundle of seenBundles)
      own.forEach((metric, place) => {
        const color = byMetric ? colourAt(place) : colours.ofLine(bundle);
        const style = {
          ...{ metric, over, color, reach: reaches[place], logY, xaxis: `x${suffix}`, yaxis: `y${suffix}`, axisName: over },
          name: own.length > 1 ? `${bundle.name} · ${metric}` : bundle.name,
          weight: Number(byId("smooth").value),
          showRaw: bundles.length * own.length <= 30,
          dash: byMetric || own.length === 1 ? "solid" : dashAt(place, isMany),
          ...{ isMany, areManyOn },
          faint: isAnyOn && !bundle.on,
          inLegend: chart === 0 && bundles.length * own.length <= 40,
          meta: { rows: bundle.rows },
        };
        const made = bundleTraces(bundle, style);
        for (const line of made.far) found.far.set(line.run, farText(line, reaches[place].over));
        if (!made.used.length) return;
        traces.push(...made.traces);
        drawn.add(bundle);
        bundle.rows.forEach((row) => curveColours.set(row, byMetric ? colours.ofLine(bundle) : color));
        if (made.isBand) found.bands.add(bundle);
        tell(found, made.used, metric, over);
        made.dotted.forEach((run) => found.dotted.add(run));
        made.apart.forEach((run) => found.apart.add(run));
        found.ofParts = found.ofParts || made.ofParts;
        for (const line of made.used) {
          overs.add(line.over);
          ranges.x.push(...extent(line.x));
          const heightsOf = finiteExtent(line.y);
          ranges.y.push(...heightsOf);
          heights[place].push([line.run, ...heightsOf]);
        }
      });
    if (!logY) heights.flatMap(highOnes).forEach(([run, height]) => found.high.set(run, Math.max(height, found.high.get(run) ?? 0)));
    const off = leftOutOf(traces.slice(before), { logX, logY });
    found.offLog += off.count;
    const why = off.isAll ? NOTHING_ABOVE : "";
    found.axes.push({ own, over: [...overs].join(", ") || over, suffix, ranges, why });
  });

  showCurves(merged(traces), found.axes, { logX, logY, metrics });
  showLegend([...drawn], colours, { metrics, byMetric, multiples });
  noteCurves([...drawn], found, metrics);
  colourBoxes();
  tookSmoothing = performance.now() - began;
  if (isLive) tookDrawing(began);
}

/** Return what the curves of a chart are drawn over: what is chosen, where one of them has it. */
function axisFor(metrics) {
  const [wanted, possible] = [byId("x").value, axesOf(metrics)];
  return possible.includes(wanted) ? wanted : (possible[0] ?? wanted);
}

const farText = (line, over) => (line.over === over ? `far from the others' ${over}` : `over ${line.over}, far from the others' ${over}`);

/** Keep what has to be said of some lines. */
function tell(found, lines, metric, over) {
  for (const line of lines) {
    if (line.y.some((value) => !Number.isFinite(value))) found.notFinite.add(line.run);
    found.isThin = found.isThin || line.isThin;
    if (!found.elsewhere.has(metric)) found.elsewhere.set(metric, { overs: new Set(), isAll: true });
    if (line.over === over) found.elsewhere.get(metric).isAll = false;
    else found.elsewhere.get(metric).overs.add(line.over);
  }
}

const chartsAcross = (count) => (count === 1 ? 1 : byId("curves").clientWidth < 560 ? 1 : count > 4 ? 3 : 2);

/** Draw the charts, side by side where there are several. */
function showCurves(traces, charts, { logX, logY, metrics }) {
  if (isLive && !areCurvesLinked && !traces.length && curvesPending()) return; // an empty plot takes its time, too
  const across = chartsAcross(charts.length);
  const down = Math.ceil(charts.length / across);
  byId("curves").style.setProperty("--rows", String(down));
  // Plotly measures its box when it is made and when the window changes, and not when the box does.
  const axes = { height: byId("curves").clientHeight, annotations: [] };
  const firstOver = new Map(); // what charts are over -> the axis of the first of them
  charts.forEach(({ own, over, suffix, ranges, why }, i) => {
    const [column, line] = [i % across, Math.floor(i / across)];
    const domain = (place, count, gap) => {
      const size = (1 - gap * (count - 1)) / count;
      return [place * (size + gap), place * (size + gap) + size];
    };
    const [low, high] = domain(line, down, 0.24 / down);
    if (!firstOver.has(over)) firstOver.set(over, `x${suffix}`);
    const first = firstOver.get(over);
    axes[`xaxis${suffix}`] = {
      ...axisNumbers(ranges.x, logX),
      ...(first === `x${suffix}` ? {} : { matches: first }), // what is over the same is zoomed together
      title: axisTitle(over),
      domain: domain(column, across, 0.1),
      anchor: `y${suffix}`,
    };
    axes[`yaxis${suffix}`] = {
      ...axisNumbers(ranges.y, logY),
      title: axisTitle(own.length > 1 ? "" : (own[0] ?? "")),
      domain: [1 - high, 1 - low],
      anchor: `x${suffix}`,
    };
    if (why)
      axes.annotations.push({
        ...{ text: why, showarrow: false, x: 0.5, y: 0.5, font: { color: css("--quiet") } },
        ...{ xref: `x${suffix} domain`, yref: `y${suffix} domain` },
      });
    if (!ranges.y.length || why)
      for (const name of ["xaxis", "yaxis"]) axes[`${name}${suffix}`] = { ...axes[`${name}${suffix}`], ...NO_NUMBERS };
  });
  if (!traces.length) Object.assign(axes, { xaxis: { visible: false }, yaxis: { visible: false } });
  // A zoom stays while lines come and go, and ends when the axes mean something else.
  axes.uirevision = [...metrics, charts.length, ...charts.map(({ over }) => over), logX, logY].join("\n");
  drawOnce("curves", traces, layout(axes));
  linkCurves();
  if (isLive) pointAgain();
}

const NO_NUMBERS = { showticklabels: false, showgrid: false };
const MOST_NAMED = 12;

/** Say which colour and which dashes are whose. */
function showLegend(drawn, colours, { metrics, byMetric, multiples }) {
  const entries = [];
  if (metrics.length > 1 && !multiples)
    metrics.forEach((metric, i) => {
      const color = byMetric ? colourAt(i) : "currentColor";
      entries.push(make("span", { className: "key" }, dashed(byMetric ? 0 : i, color), nameText(metric, 40)));
    });
  if (colours.legend) {
    entries.push(make("span", { className: "key quiet" }, `${nameText(colours.legend.title, 40)}:`));
    for (const { name, color } of colours.legend.entries)
      entries.push(make("span", { className: "key" }, swatch(color), nameText(name, 40)));
  } else {
    const order = new Map(shownRows.map((row, place) => [row, place]));
    const sorted = [...drawn].sort((a, b) => (order.get(a.rows[0]) ?? Infinity) - (order.get(b.rows[0]) ?? Infinity));
    const nameOf = namesAmong(sorted);
    for (const bundle of sorted.slice(0, MOST_NAMED)) entries.push(legendButton(bundle, nameOf(bundle), byMetric, colours));
    if (sorted.length > MOST_NAMED)
      entries.push(make("span", { className: "key quiet" }, `and ${sorted.length - MOST_NAMED} more`));
  }
  byId("legend").replaceChildren(...entries);
}

/** Make an entry of the legend; a click chooses what it names. */
function legendButton(bundle, name, byMetric, colours) {
  const button = make(
    "button",
    {
      type: "button",
      className: "key",
      title: [bundle.name, ...bundle.runs.map((run) => data.ids[run])].join("\n"),
      onclick: (event) => choose(bundle.rows, event),
    },
    ...(byMetric ? [] : [swatch(colours.ofLine(bundle))]),
    ...(bundle.best ? [star(columnNamed(byId("scatter-y").value))] : []),
    cut(name, 72),
  );
  button.setAttribute("aria-pressed", bundle.on);
  if (bundle.versions > 1) button.append(mark(`code ${bundle.versions} versions`, "these replicates differ in it"));
  return button;
}

/** Draw a piece of a line as the metric at a place is drawn. */
function dashed(place, color) {
  const space = "http://www.w3.org/2000/svg";
  const [svg, line] = ["svg", "line"].map((tag) => document.createElementNS(space, tag));
  svg.setAttribute("class", "dash");
  svg.setAttribute("viewBox", "0 0 28 4");
  svg.setAttribute("aria-hidden", "true");
  const pattern = ["", "6 4", "2 3", "7 3 2 3", "11 4", "11 3 2 3"][place % DASHES.length];
  const attributes = { x1: 0, x2: 28, y1: 2, y2: 2, stroke: color, "stroke-width": 2, "stroke-dasharray": pattern };
  for (const [name, value] of Object.entries(attributes)) line.setAttribute(name, value);
  svg.append(line);
  return svg;
}

/** Say why there is no curve. */
function whyNone(metrics) {
  const notes = isLive ? notesOfFetching(metrics) : [];
  if (notes.length) return notes.join(" · ");
  if (isLive && curvesPending()) return "";
  if (rowCount() && !shownRows.length) return `${NONE_FITS}.`;
  return curveMetrics.length ? "Nothing to draw: no curve of what is chosen is shown." : "No experiment has logged metrics.";
}

function noteCurves(drawn, found, metrics) {
  const [bands, lines] = [found.bands.size, drawn.length - found.bands.size];
  const notes = [];
  if (bands) notes.push(`${bands} ${bands === 1 ? "band" : "bands"} (mean ± ${bandName()})`);
  if (lines) notes.push(`${lines} ${lines === 1 ? "line" : "lines"}`);
  if (metrics.length > 1) notes.push(`${metrics.length} metrics`);
  if (found.isNoneOn) notes.push("what is chosen has no curve of this");
  notes.push(...notesOfFar(found));
  if (found.dotted.size) notes.push(`${found.dotted.size} dotted: not DONE, or left out, so that no mean counts them`);
  if (found.apart.size) notes.push(`${found.apart.size} dotted: over another axis than its replicates, in no mean`);
  const mixed = drawn.filter((bundle) => bundle.versions > 1).length;
  if (mixed) notes.push(`${mixed} made by several versions of the code`);
  if (found.isThin) notes.push(`minimum and maximum of up to ${data.points} parts of each, more at its start`);
  const worked = found.dotted.size + found.apart.size ? "bands, dotted and smoothed lines" : "bands and smoothed lines";
  if (found.ofParts) notes.push(`${worked}: of the means of half as many parts`);
  if (isLive) notes.push(...notesOfFetching(metrics));
  if (found.notFinite.size)
    notes.push(`${found.notFinite.size} with NaN or infinity: gaps in lines, and left out of bands there`);
  if (found.offLog) notes.push(logText(found.offLog));
  for (const [metric, { overs, isAll }] of found.elsewhere)
    if (overs.size) notes.push(`${isAll ? "" : "some of "}${metric} over ${[...overs].join(", ")}`);
  setText(byId("curves-note"), drawn.length ? notes.join(" · ") : whyNone(metrics));
  const told = `${metrics.join(", ")} over ${[...new Set(found.axes.map(({ over }) => over))].join(", ")}`;
  byId("curves").setAttribute("aria-label", `Learning curves: ${told}, ${drawn.length} drawn`);
}
