// The menu of the metrics: a few are listed, many are searched and stand in groups by how their names begin.

const MANY_METRICS = 20;

/** List metrics; what is as it was stays, with what is searched, scrolled and focused in it. */
function fillMetrics(names, wanted) {
  const menu = byId("metrics");
  const shown = [...menu.querySelectorAll("input[type=checkbox]")];
  const isSame = shown.length === names.length && shown.every((input, i) => input.value === names[i]);
  if (isSame) {
    for (const input of shown) input.checked = wanted.includes(input.value);
    return;
  }
  const label = (name) =>
    make("label", { title: name }, make("input", { type: "checkbox", value: name, checked: wanted.includes(name) }), ` ${nameText(name)}`);
  if (names.length <= MANY_METRICS) return menu.replaceChildren(...names.map(label));
  const [words, isFocused] = [byId("metrics-search")?.value ?? "", document.activeElement?.id === "metrics-search"];
  const search = make("input", { type: "search", id: "metrics-search", placeholder: `find one of ${names.length}`, value: words });
  search.setAttribute("aria-label", "Find a metric");
  search.addEventListener("input", (event) => {
    event.stopPropagation(); // no metric was chosen
    searchMetrics();
  });
  const entries = [...groupsOf(names)].flatMap(([prefix, some]) => [
    ...(prefix ? [make("span", { className: "group" }, prefix)] : []),
    ...some.map(label),
  ]);
  menu.replaceChildren(search, ...entries);
  searchMetrics();
  if (isFocused) search.focus();
}

/** Group names by what stands before their first slash; those of one name only stand alone, first. */
function groupsOf(names) {
  const prefixOf = (name) => (name.includes("/") ? name.slice(0, name.indexOf("/") + 1) : "");
  const count = new Map();
  for (const name of names) count.set(prefixOf(name), (count.get(prefixOf(name)) ?? 0) + 1);
  const groups = new Map([["", []]]);
  for (const name of names) {
    const prefix = count.get(prefixOf(name)) > 1 ? prefixOf(name) : "";
    groups.set(prefix, [...(groups.get(prefix) ?? []), name]);
  }
  return groups;
}

/** Leave the metrics whose names have all words, and those that are drawn. */
function searchMetrics() {
  const words = byId("metrics-search").value.toLowerCase().split(/\s+/);
  let group = null;
  for (const entry of byId("metrics").children) {
    if (entry.className === "group") {
      group = entry;
      group.hidden = true;
    }
    const input = entry.querySelector("input");
    if (!input) continue;
    entry.hidden = !input.checked && !words.every((word) => input.value.toLowerCase().includes(word));
    if (group && !entry.hidden) group.hidden = false;
  }
}
