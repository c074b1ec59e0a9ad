// The card of a search: the best trial so far, parallel coordinates, which keys matter, and where trials were ended.

const MOST_TRIALS = 2000; // points of a plot; what made the best so far is among them
const DOTS = { done: "circle", pruned: "x-thin-open", running: "circle-open", dead: "x" };

const shownSearch = () => data.searches[Number(byId("search-which").value)] ?? data.searches[0];

function fillSearches() {
  const card = byId("search-card");
  card.hidden = !data.searches.length;
  if (card.hidden) return;
  fillSelect(
    "search-which",
    data.searches.map((search, i) => [String(i), `${search.metric} (${search.id})`]),
    "0",
  );
  byId("search-which-label").hidden = data.searches.length < 2;
}

function drawSearch() {
  if (byId("search-card").hidden) return;
  const search = shownSearch();
  const draw = { history: drawHistory, parallel: drawSearched, importance: drawImportance, rungs: drawRungs };
  byId("search").hidden = false;
  setHeight(byId("search"), null);
  setText(byId("search-best"), search.best);
  byId("search").setAttribute("aria-label", `Search ${search.metric} ${byId("search-shape").value}`);
  draw[byId("search-shape").value](search);
}

function showSearch(traces, extra, notes) {
  const shape = byId("search-shape").value;
  const height = byId("search").clientHeight; // what Plotly measured may be of another shape
  const revision = `${shape} ${byId("search-which").value}`;
  Plotly.react("search", traces, layout({ height, uirevision: revision, ...extra }), modeBar());
  setText(byId("search-note"), notes.filter(Boolean).join(" · "));
  if (!searchLinked) byId("search").on("plotly_click", chooseTrial);
  searchLinked = true;
}

let searchLinked = false; // most pages are of no search

function chooseTrial({ points, event }) {
  const rows = rowsOf(points.slice(0, 1));
  if (rows.length) choose(rows, event);
}

/** Say why there is nothing to draw, with no empty room above it. */
function noSearch(why) {
  byId("search").hidden = true;
  setText(byId("search-note"), why);
}

// ---- The best so far ----

/** Return for each trial the best value of those that are done by then, NaN before the first. */
function bestSoFar({ values, states, direction }) {
  let best = NaN;
  return values.map((value, i) => {
    const number = asNumber(value);
    if (states[i] !== "done" || !Number.isFinite(number ?? NaN)) return best;
    if (Number.isNaN(best) || (direction === "min" ? number < best : number > best)) best = number;
    return best;
  });
}

function drawHistory(search) {
  const { slots, values, states } = search;
  const best = bestSoFar(search);
  const has = [...slots.keys()].filter((i) => Number.isFinite(asNumber(values[i]) ?? NaN));
  if (!has.length) return noSearch("Nothing to draw: no trial has a value yet");
  const improving = best.map((value, i) => i === 0 || value !== best[i - 1]);
  const kept = new Set(spread(has.length, MOST_TRIALS).map((i) => has[i]));
  const drawn = has.filter((i) => kept.has(i) || (improving[i] && states[i] === "done"));
  const steps = [...slots.keys()].filter((i) => !Number.isNaN(best[i]) && (improving[i] || i === slots.length - 1));
  const row = (i) => rowOfTrial(search, i);
  const traces = ["done", "pruned", "running", "dead"].map((state) => {
    const its = drawn.filter((i) => states[i] === state);
    const color = { done: css("--accent"), pruned: STATUS.PRUNED, running: STATUS.RUNNING, dead: STATUS.DEAD }[state];
    return {
      x: its.map((i) => slots[i]),
      y: its.map((i) => asNumber(values[i])),
      mode: "markers",
      name: state,
      meta: { rows: its.map(row) },
      customdata: its.map((i) => [plotText(cut(trialLabel(search, i), 90)), state]),
      hovertemplate: `<b>trial %{x}</b>: ${plotText(cut(search.metric, 40))} %{y}, %{customdata[1]}<br>%{customdata[0]}<extra></extra>`,
      marker: {
        color,
        symbol: DOTS[state],
        size: its.map((i) => (chosen.has(row(i)) ? 13 : 7)),
        opacity: its.map((i) => (!chosen.size || chosen.has(row(i)) ? 0.85 : 0.3)),
        line: { color: state === "pruned" ? color : css("--text"), width: its.map((i) => (state === "pruned" ? 1.5 : chosen.has(row(i)) ? 2 : 0)) },
      },
    };
  });
  traces.push({
    x: steps.map((i) => slots[i]),
    y: steps.map((i) => best[i]),
    mode: "lines",
    name: "best so far",
    line: { color: css("--star"), width: 2, shape: "hv" },
    hoverinfo: "skip",
  });
  // Of those that were ended early there may be many, and far from the best.
  const whole = drawn.filter((i) => states[i] === "done");
  const [range, beyond] = rangeOf(drawn.map((i) => asNumber(values[i])), whole.map((i) => asNumber(values[i])), search.direction);
  const count = (state) => states.filter((one) => one === state).length;
  const lacking = count("done") + count("pruned") - has.filter((i) => ["done", "pruned"].includes(states[i])).length;
  showSearch(
    traces.filter(({ x }) => x.length),
    {
      xaxis: { title: axisTitle("trial"), ...axisNumbers(slots, false), ...wholeSteps(slots), range: [slots[0] - 0.5, slots.at(-1) + 0.5] },
      yaxis: { title: axisTitle(search.metric), ...axisNumbers(drawn.map((i) => asNumber(values[i])), false), range },
    },
    [
      `${slots.length} of ${search.planned} trials`,
      count("done") && `● ${count("done")} done`,
      count("pruned") && `× ${count("pruned")} ended early, with what they had by then`,
      lacking && `${lacking} of these without a number`,
      count("running") && `${count("running")} not at their end`,
      count("dead") && `${count("dead")} dead`,
      drawn.length < has.length && `${drawn.length} of ${has.length} points are drawn`,
      beyond && `${beyond} beyond the axis (double click shows all)`,
    ],
  );
}

/** Have ticks at whole numbers only; of many, they are so by themselves. */
const wholeSteps = (slots) => (slots.at(-1) - slots[0] < 8 ? { dtick: 1 } : {});

/** Return a range in which the best of the whole trials can be told apart, and how many values lie beyond it. */
function rangeOf(values, whole, direction) {
  const bestFirst = (some) => [...some].sort((a, b) => (direction === "min" ? a - b : b - a));
  const sorted = bestFirst(values);
  const told = whole.length < 3 ? sorted : bestFirst(whole);
  const [best, most] = [sorted[0], told[Math.ceil(0.9 * (told.length - 1))]];
  const span = Math.abs(most - best);
  if (!span || Math.abs(sorted.at(-1) - best) < 4 * span) return [undefined, 0];
  const ends = [best - Math.sign(most - best) * 0.08 * span, most + Math.sign(most - best) * 0.4 * span];
  const beyond = sorted.filter((value) => Math.abs(value - best) > 1.4 * span).length;
  return [ends.sort((a, b) => a - b), beyond];
}

/** Return the row of a trial; null where the table doesn't show it. */
const rowOfTrial = (search, i) => rowsOfRun[search.runs[i]]?.[0] ?? null;

function trialLabel(search, i) {
  const row = rowOfTrial(search, i);
  return row === null ? "not in the table" : rowLabel(row);
}

// ---- Parallel coordinates ----

/** Draw parallel coordinates of the space, coloured by the metric. */
function drawSearched(search) {
  const metric = columnNamed(search.metric) ?? columnNamed(`${search.metric}.best`);
  const varied = searchedColumns();
  if (!metric?.numeric || !varied.length) return noSearch("Nothing to draw: keys that vary and their metric are needed");
  const own = new Set(search.runs.map((_, i) => rowOfTrial(search, i)));
  const rows = shownRows.filter((row) => own.has(row) && Number.isFinite(asNumber(metric.values[row]) ?? NaN));
  if (!rows.length) return noSearch("Nothing to draw: no trial has a value yet");
  const shownAs = rows.length <= MOST_TRIALS ? rows : spread(rows.length, MOST_TRIALS).map((i) => rows[i]);
  const { of, entries } = valueColours(metric);
  const [traces, extra] = parallelPlot([...varied, metric], shownAs, of, byId("search"));
  showSearch(traces, { ...extra, uirevision: undefined, dragmode: false }, [
    `${rows.length} trials, coloured by ${metric.name}`,
    shownAs.length < rows.length && `${shownAs.length} of them are drawn`,
    "– where a key doesn't apply",
  ]);
  const legend = entries.map(({ name, color }) => make("span", {}, swatch(color), ` ${cut(name, 30)}`));
  byId("search-note").append(" ", ...legend.flatMap((entry) => [entry, " "]));
}

// ---- Which keys matter ----

function drawImportance({ importance, unknown }) {
  if (!importance.length) return noSearch(unknown);
  const keys = [...importance].slice(0, 20).reverse(); // the most important one at the top
  showSearch(
    [
      {
        type: "bar",
        orientation: "h",
        x: keys.map(([, share]) => share),
        y: keys.map((_, i) => i),
        text: keys.map(([, share]) => `${Math.round(100 * share)} %`),
        textposition: "auto",
        marker: { color: css("--accent") },
        hovertemplate: "%{text}<extra></extra>",
      },
    ],
    {
      xaxis: { visible: false, fixedrange: true },
      yaxis: { tickvals: keys.map((_, i) => i), ticktext: keys.map(([key]) => plotText(cut(key, 30))), fixedrange: true },
    },
    [
      "which keys decide whether a trial is among the best (PED-ANOVA), of trials that are done",
      importance.length > keys.length && `${importance.length - keys.length} more aren't drawn`,
    ],
  );
}

// ---- Where trials were ended ----

function drawRungs({ rungs, stops }) {
  // Who came to a rung either came to another one or is on the way there, or this was its last.
  const lasts = [
    ["done", ({ done }) => done, STATUS.DONE, "came to their end"],
    ["ended early", ({ ended }) => ended, STATUS.PRUNED, "were ended early"],
    ["died", ({ died }) => died, STATUS.DEAD, "died"],
  ];
  const wentOn = ({ reached, done, ended, died }) => reached - done - ended - died;
  if (!rungs.length) return noSearch(stops ? "No trial has come to a rung yet" : "This search ends no trial early");
  const places = rungs.map((_, i) => i);
  const bar = (name, of, color) => ({
    type: "bar",
    name,
    x: places,
    y: rungs.map(of),
    text: rungs.map((rung) => (of(rung) ? `${of(rung)} ${name}` : "")),
    textposition: "auto",
    marker: { color },
    hovertemplate: `rung %{customdata}: %{y} ${name}<extra></extra>`,
    customdata: rungs.map(({ step }) => String(step)),
  });
  showSearch(
    [
      bar("went on", wentOn, css("--accent")),
      ...lasts.map(([name, of, color]) => bar(name, of, color)),
    ].filter(({ y }) => y.some(Boolean)),
    {
      barmode: "stack",
      xaxis: { title: axisTitle("rung"), tickvals: places, ticktext: rungs.map(({ step }) => String(step)), fixedrange: true },
      yaxis: { title: axisTitle("trials"), rangemode: "tozero", fixedrange: true },
    },
    rungs.map((rung) => {
      const parts = [`${rung.reached} came`, ...lasts.filter(([, of]) => of(rung)).map(([, of, , text]) => `${of(rung)} ${text}`)];
      return `rung ${rung.step}: ${parts.join(", ")}`;
    }),
  );
}
