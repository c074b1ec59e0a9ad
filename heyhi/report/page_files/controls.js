// The controls above the plots, the buttons of the statuses, and light and dark.

function fillSelect(id, values, wanted) {
  const select = byId(id);
  // What somebody has chosen, then what is shown, then what is suggested.
  const kept = [seen(id), select.dataset.filled ? select.value : null, wanted];
  select.replaceChildren(...values.map(([value, text]) => make("option", { value }, nameText(text))));
  select.dataset.filled = "true";
  const value = kept.find((one) => values.some(([known]) => known === one));
  if (value !== undefined) select.value = value;
}

const byName = (found) => found.map((column) => [column.name, column.name]);

/** Return a column's name as a value that can't be the empty one, which means that none is chosen. */
const valueNamed = (name) => (name === "" || name.startsWith("=") ? `=${name}` : name);
const chosenColumn = (value) => (value === "" ? undefined : columnNamed(value.startsWith("=") ? value.slice(1) : value));

/** Fill the controls by the data; what is chosen stays where it is still there. */
function showControls() {
  const varied = overrides().filter((column) => column.isVaried);
  showMetrics();
  fillAxes();
  fillSelect("scatter-x", byName([...varied, ...metricColumns()]), mainOverride()?.name);
  fillSelect("scatter-y", byName([...metricColumns()].sort(byInterest)), mainColumn()?.name);
  const statuses = columns.filter((column) => column.kind === "status");
  fillSearches();
  fillSelect("colour", [
    ["", hasSeeds ? "each group of seeds" : data.table ? "each row" : "each experiment"],
    ...[...statuses, ...varied, ...metricColumns()].map(({ name }) => [valueNamed(name), name]),
  ]);
  byId("seeds-label").hidden = !hasSeeds;
  if (seen("lines") === null) byId("lines").value = rowCount() <= 20 ? "Infinity" : "20";
  if (seen("scatter-log") === null) suggestLog();
}

const fillAxes = () => {
  const names = axesOf(drawnMetrics());
  fillSelect("x", (names.length ? names : ["step"]).map((name) => [name, name]), names[0]);
  if (!names.length) delete byId("x").dataset.filled; // nothing that somebody has seen
};

/** List the metrics that have curves, and mark those that are drawn. */
function showMetrics() {
  const before = [...byId("metrics").querySelectorAll("input:checked")].map((input) => input.value);
  const known = (names) => names.filter((name) => curveMetrics.includes(name));
  const wanted = [known(seenAll("metric")), known(before), known([mainCurve() ?? ""])].find((names) => names.length) ?? [];
  fillMetrics(curveMetrics, wanted);
  showMetricsChosen();
}

function showMetricsChosen() {
  const metrics = drawnMetrics();
  const more = metrics.length - 1;
  setText(byId("metric"), more > 0 ? `${nameText(metrics[0], 24)} and ${more} more` : nameText(metrics[0] ?? "none", 30));
  byId("multiples-label").hidden = metrics.length < 2;
}

function linkControls() {
  byId("metrics").addEventListener("input", () => {
    remember("metric", drawnMetrics());
    showMetricsChosen();
    fillAxes();
    redraw(drawCurves);
  });
  linkMenu(byId("metrics-menu"));
  for (const control of document.querySelectorAll(".bar select, .bar > label > input")) {
    const kept = seen(control.id);
    if (control.type === "checkbox" && kept !== null) control.checked = kept === "1";
    else if (control.type === "range" && kept !== null) control.value = kept;
    else if (kept !== null && [...control.options].some((option) => option.value === kept)) control.value = kept;
    control.addEventListener("input", () => onControl(control));
  }
  showSmoothing();
}

/** Let a menu close by Escape, and by a click beside it. */
function linkMenu(menu) {
  document.addEventListener("pointerdown", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    event.stopPropagation();
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}

function onControl(control) {
  remember(control.id, control.type === "checkbox" ? String(Number(control.checked)) : control.value);
  if (control.id === "scatter-x") {
    remember("scatter-log", null);
    suggestLog();
  }
  if (control.id === "scatter-y") colourBoxes();
  showSmoothing();
  if (control.id === "smooth" && tookSmoothing > SLOW) return void drawSmoothedSoon();
  // The best row is marked in both plots, and a row has one colour.
  if (control.closest("#search-card")) return redraw(drawSearch);
  const both = ["colour", "scatter-y", "lines", "seeds"].includes(control.id);
  redraw(...(both ? [drawCurves, drawOverrides] : control.closest("#curves-card") ? [drawCurves] : [drawOverrides]));
}

// Where many lines are drawn, a slider that is moved draws when it rests: each drawing would hold it up.
const [SLOW, RESTS] = [60, 200]; // milliseconds
let [tookSmoothing, smoothTimer] = [0, null];

function drawSmoothedSoon() {
  clearTimeout(smoothTimer);
  smoothTimer = setTimeout(() => {
    smoothTimer = null;
    redraw(drawCurves);
  }, RESTS);
}

const showSmoothing = () => (byId("smooth-value").textContent = byId("smooth").value);

function suggestLog() {
  const column = columnNamed(byId("scatter-x").value);
  byId("scatter-log").checked = spansOrders(
    (column?.numeric ? column.values : []).filter((value) => value !== null).map(asNumber),
  );
}

// ---- Title, notes and statuses ----

/** Name the tab shortly, first what goes on. */
function tabTitle() {
  const running = statusColumn()?.counts?.get("RUNNING");
  return `${running ? `${running} RUNNING · ` : ""}${cut(data.tab, 40)} – HeyHi`;
}

function showHead() {
  document.title = readable(isLive ? tabTitle() : data.title);
  setText(byId("title"), data.title);
  byId("title").title = readable(data.title); // of a long one, only the first lines are shown
  const reading = data.phase === "statuses" ? " · reading metrics…" : "";
  setText(byId("made"), `${countsText()} · ${new Date(data.made).toLocaleString()}${reading}`);
  const notes = byId("notes");
  if (readable(data.notes.join("\n")) !== [...notes.children].map(({ textContent }) => textContent).join("\n"))
    notes.replaceChildren(...data.notes.map((note) => make("li", {}, note)));
  notes.hidden = !data.notes.length;
  if (isLive) showNotices();
  showStatuses();
}

const experiments = (count) => `${count} experiment${count === 1 ? "" : "s"}`;

/** Say how much of the sweep is shown, and what was asked for that makes it so. */
function countsText() {
  const asked = data.asked.length ? ` (${data.asked.join(" ")})` : "";
  if (!data.ids.length) return noneText();
  const rows = isMean() ? `${rowCount()} row${rowCount() === 1 ? "" : "s"} of ` : "";
  const part = data.ids.length < data.total ? `${data.ids.length} of ` : "";
  return `${rows}${part}${experiments(part ? data.total : data.ids.length)}${asked}`;
}

const noneText = () =>
  data.total ? `None of ${experiments(data.total)} meets ${data.asked.join(" ")}` : "No experiments";

// ---- Light and dark ----

const system = matchMedia("(prefers-color-scheme: dark)");
const THEMES = { auto: "light", light: "dark", dark: "auto" };
let theme = "auto";

function showTheme() {
  const dark = theme === "auto" ? system.matches : theme === "dark";
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  document.documentElement.classList.toggle("dark", dark); // DataTables' own switch
  byId("theme").textContent = { auto: "◐ auto", light: "☀ light", dark: "☾ dark" }[theme];
  byId("theme").setAttribute("aria-label", `Colours: ${theme}`);
}

function changeTheme(next) {
  theme = next;
  remember("theme", theme);
  try {
    localStorage.setItem("heyhi theme", theme); // for other pages
  } catch {
    // it holds for this page
  }
  showTheme();
  redraw(drawCurves, drawOverrides, drawSearch);
}

function linkTheme() {
  try {
    theme = seen("theme") ?? localStorage.getItem("heyhi theme");
  } catch {
    theme = seen("theme");
  }
  if (!Object.hasOwn(THEMES, theme ?? "")) theme = "auto";
  showTheme();
  byId("theme").addEventListener("click", () => changeTheme(THEMES[theme]));
  system.addEventListener("change", () => (showTheme(), redraw(drawCurves, drawOverrides, drawSearch)));
}
