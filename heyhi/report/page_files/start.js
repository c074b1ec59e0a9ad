// The controls, light and dark, and the start of the page.

/** Keep controls over a reload, where the browser lets a local file keep anything. */
const store = {
  key: `heyhi ${location.pathname}`,
  load() {
    try {
      return JSON.parse(sessionStorage.getItem(this.key)) ?? {};
    } catch {
      return {};
    }
  },
  save(values) {
    try {
      sessionStorage.setItem(this.key, JSON.stringify(values));
    } catch {
      // nothing is lost but the settings
    }
  },
};

function fillSelect(id, values, wanted) {
  byId(id).replaceChildren(...values.map(([value, text]) => make("option", { value }, cut(text, 60))));
  if (wanted !== undefined) byId(id).value = wanted;
}

function makeControls() {
  const sets = data.curves.flat();
  const metrics = [...new Set(sets.flatMap((set) => Object.keys(set.y)))];
  const xs = data.x;
  const score = metricColumns[0]?.name;
  fillSelect(
    "metric",
    metrics.map((name) => [name, name]),
    metrics.find((name) => score === name) ?? metrics.find((name) => score?.includes(name)) ?? metrics[0],
  );
  fillSelect(
    "x",
    (xs.length ? xs : ["step"]).map((name) => [name, name]),
  );
  const varied = overrides.filter((column) => column.distinct.length > 1);
  fillSelect(
    "scatter-x",
    [...varied, ...metricColumns].map((column) => [column.name, column.name]),
  );
  fillSelect(
    "scatter-y",
    metricColumns.map((column) => [column.name, column.name]),
  );
  fillSelect("colour", [
    ["", hasSeeds ? "each seed group" : "each experiment"],
    ...[...(statusColumn ? [statusColumn] : []), ...varied, ...metricColumns].map((column) => [
      column.name,
      column.name,
    ]),
  ]);
  byId("seeds-label").hidden = !hasSeeds;
  if (rowCount <= 20) byId("lines").value = "Infinity";
  suggestLog();

  const controls = [...document.querySelectorAll(".bar select, .bar input")];
  const kept = store.load();
  for (const control of controls) {
    const value = kept[control.id];
    if (control.type === "checkbox" && value !== undefined) control.checked = value;
    else if (control.tagName === "SELECT" ? [...control.options].some((option) => option.value === value) : value)
      control.value = value;
    control.addEventListener("input", () => {
      if (control.id === "scatter-x") suggestLog();
      byId("smooth-value").textContent = byId("smooth").value;
      store.save(
        Object.fromEntries(controls.map((one) => [one.id, one.type === "checkbox" ? one.checked : one.value])),
      );
      redraw(
        ...(control.id === "colour"
          ? [drawCurves, drawOverrides]
          : control.closest("#curves-card")
            ? [drawCurves]
            : [drawOverrides]),
      );
    });
  }
  byId("smooth-value").textContent = byId("smooth").value;
}

function suggestLog() {
  const column = columnNamed(byId("scatter-x").value);
  byId("scatter-log").checked = spansOrders(
    (column?.numeric ? column.values : []).filter((value) => value !== null).map(asNumber),
  );
}

function makeStatuses() {
  byId("made").textContent = `${rowCount} experiments · ${new Date(data.made).toLocaleString()}`;
  if (!statusColumn) return;
  const order = Object.keys(STATUS);
  const place = (value) => (order.includes(value) ? order.indexOf(value) : order.length);
  for (const value of [...statusColumn.distinct].sort((a, b) => place(a) - place(b))) {
    const count = statusColumn.values.filter((one) => exactText(one) === value).length;
    const button = make(
      "button",
      { type: "button", className: "chip" },
      swatch(statusColour(value)),
      make("b", {}, String(count)),
      ` ${value}`,
    );
    button.setAttribute("aria-pressed", "false");
    button.dataset.status = value;
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
      const on = new Set(
        [...byId("statuses").querySelectorAll("[aria-pressed=true]")].map((one) => one.dataset.status),
      );
      table
        .column(statusColumn.index + 1)
        .search.fixed("statuses", on.size ? (text, row) => on.has(exactText(row.cells[statusColumn.index])) : null)
        .draw();
    });
    byId("statuses").append(button);
  }
}

// ---- Light and dark ----

const system = matchMedia("(prefers-color-scheme: dark)");
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
  try {
    localStorage.setItem("heyhi theme", theme);
  } catch {
    // it holds until the page is closed
  }
  showTheme();
  redraw(drawCurves, drawOverrides);
}

function makeTheme() {
  try {
    theme = localStorage.getItem("heyhi theme") ?? "auto";
  } catch {
    theme = "auto";
  }
  if (!["auto", "light", "dark"].includes(theme)) theme = "auto";
  showTheme();
  byId("theme").addEventListener("click", () => changeTheme({ auto: "light", light: "dark", dark: "auto" }[theme]));
  system.addEventListener("change", () => (showTheme(), redraw(drawCurves, drawOverrides)));
}

// ---- Start ----

makeTheme();
makeControls();
makeTable();
makeStatuses();
drawCurves();
drawOverrides();
linkPlots();
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && chosen.size && event.target === document.body) choose([], {});
});
requestAnimationFrame(() =>
  setTimeout(() => {
    document.body.dataset.ready = String(Math.round(performance.now())); // ms since navigation: what the tests measure
  }),
);
