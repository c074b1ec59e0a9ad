// The card with the details of the chosen experiments.

const MOST_COMPARED = 6;
const flatOf = (row) => ({ ...data.common[data.details[row].flat.common], ...data.details[row].flat.own });

function drawDetails() {
  const card = byId("details");
  card.hidden = !chosen.size;
  document.body.classList.toggle("with-details", chosen.size > 0);
  if (!chosen.size) return;
  const close = make("button", { type: "button", className: "plain", onclick: () => choose([], {}) }, "Close");
  const rows = [...chosen];
  if (rows.length > 1) rows.sort((a, b) => shownRows.indexOf(a) - shownRows.indexOf(b));
  const heading = rows.length > 1 ? `${rows.length} chosen` : "Chosen";
  card.replaceChildren(make("div", { className: "bar" }, make("h2", {}, heading), close));
  if (rows.length > 1) card.append(...comparison(rows));
  card.append(...oneExperiment(lastChosen ?? rows[0], rows.length > 1));
}

function section(title, open, ...children) {
  return make("details", { open }, make("summary", {}, title), ...children);
}

/** Return a table of keys (rows) and experiments (columns). */
function keyTable(headings, keys, cell) {
  const head =
    headings && make("thead", {}, make("tr", {}, ...headings.map((heading) => make("th", { scope: "col" }, heading))));
  const body = keys.map((key) => make("tr", {}, make("th", { scope: "row" }, key), ...cell(key)));
  return make(
    "div",
    { className: "scroll" },
    make("table", { className: "keys" }, ...(head ? [head] : []), make("tbody", {}, ...body)),
  );
}

function comparison(rows) {
  const compared = rows.slice(0, MOST_COMPARED);
  const flats = compared.map(flatOf);
  const keys = [...new Set(flats.flatMap(Object.keys))].filter((key) =>
    flats.some((flat) => flat[key] !== flats[0][key]),
  );
  const heading = (row) => {
    const button = make(
      "button",
      {
        type: "button",
        className: "inline",
        title: data.ids[row],
        onclick: () => ((lastChosen = row), drawDetails()),
      },
      cut(label(row), 40),
    );
    return make("span", { className: "compared" }, swatch(curveColours.get(row) ?? NONE), button);
  };
  const more =
    rows.length > compared.length
      ? [make("p", { className: "quiet" }, `the first ${compared.length} of ${rows.length}`)]
      : [];
  const body = keys.length
    ? keyTable(["key", ...compared.map(heading)], keys, (key) =>
        flats.map((flat) => make("td", { className: "differs" }, flat[key] ?? "–")),
      )
    : make("p", { className: "quiet" }, "Their configs are equal.");
  return [section(`What differs (${keys.length})`, true, body, ...more)];
}

function oneExperiment(row, amongOthers) {
  const detail = data.details[row];
  const links = make("p", { className: "links" });
  if (detail.folder) links.append(link(detail.folder, "folder"));
  if (detail.log_link) links.append(link(detail.log_link, "log"));
  const facts = make("p", {}, ...(statusColumn ? [status(exactText(statusColumn.values[row]))] : []));
  const reason = columnNamed("reason");
  if (reason?.values[row]) facts.append(" ", make("span", { className: "reason" }, exactText(reason.values[row])));
  const parts = [make("h3", { className: "id", title: data.ids[row] }, data.ids[row]), facts, links];

  const own = detail.flat.own;
  const common = data.common[detail.flat.common] ?? {};
  if (Object.keys(own).length || Object.keys(common).length) {
    const counted = (key) =>
      data.details.filter((other) => other.flat.common === detail.flat.common && other.flat.own[key] === own[key])
        .length;
    const of = data.details.filter((other) => other.flat.common === detail.flat.common).length;
    const differing = keyTable(["key", "here", "same in"], Object.keys(own), (key) => [
      make("td", { className: "differs" }, make("mark", {}, own[key] || "–")),
      make("td", { className: "quiet" }, `${counted(key)} of ${of}`),
    ]);
    parts.push(
      section(
        `Differs from others (${Object.keys(own).length})`,
        !amongOthers,
        Object.keys(own).length ? differing : make("p", { className: "quiet" }, "Nothing: all have the same config."),
      ),
    );
    parts.push(
      section(
        `Same in all (${Object.keys(common).length})`,
        false,
        keyTable(null, Object.keys(common), (key) => [make("td", {}, common[key] || "–")]),
      ),
    );
  }
  if (detail.config) parts.push(section("Config", false, configText(detail.config, own)));
  if (detail.attempts.length)
    parts.push(section(`Attempts (${detail.attempts.length})`, true, attempts(detail.attempts)));
  if (detail.log.length)
    parts.push(section("Last log lines", true, make("pre", { tabIndex: 0 }, detail.log.join("\n"))));
  return parts;
}

/** Show the config, with the lines of fields that differ marked; a field is known by its last name. */
function configText(text, own) {
  const names = new Set(
    Object.keys(own).map((key) =>
      key
        .split(".")
        .filter((part) => !/^\d+$/.test(part))
        .pop(),
    ),
  );
  const lines = text.replace(/\n$/, "").split("\n");
  return make(
    "pre",
    { tabIndex: 0 },
    ...lines.flatMap((line) => [names.has(line.trim().split(/[:\s{]/)[0]) ? make("mark", {}, line) : line, "\n"]),
  );
}

function attempts(list) {
  const names = [...new Set(list.flatMap(Object.keys))];
  const head = make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name)));
  const body = list.map((one) => make("tr", {}, ...names.map((name) => make("td", {}, one[name] ?? ""))));
  return make(
    "div",
    { className: "scroll" },
    make("table", { className: "keys nowrap" }, make("thead", {}, head), make("tbody", {}, ...body)),
  );
}
