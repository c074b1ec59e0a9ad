// The keys of the page where nothing is being written, and the list of them.

const KEYS = [
  ["/", "search"],
  ["f", "filter by a column"],
  ["j or ↓, k or ↑", "next row, row before"],
  ["Home, End", "first and last row of the page"],
  ["PgDn, PgUp", "turn the page"],
  ["Enter", "choose this row alone; once more: none"],
  ["Space", "choose this row beside others, or no longer"],
  ["c", "copy the ids of the chosen experiments, or of this row"],
  ["Escape", "close what is open, then choose nothing"],
  ["?", "show these keys"],
];

const isWriting = (target) => target.closest("input:not([type=checkbox], [type=range]), select, textarea, dialog") !== null;

function linkKeys() {
  const dialog = byId("keys");
  const rows = KEYS.map(([key, text]) => make("tr", {}, make("th", { scope: "row" }, key), make("td", {}, text)));
  dialog.querySelector("table").append(make("tbody", {}, ...rows));
  byId("keys-button").addEventListener("click", () => dialog.showModal());
  dialog.querySelector("button").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close()); // beside it
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isWriting(event.target)) return;
    const actions = {
      "/": () => searchBox().focus(),
      "?": () => dialog.showModal(),
      f: openFilters,
      c: copyIds,
      j: focusFirst,
      k: focusFirst,
    };
    if (!Object.hasOwn(actions, event.key) || !table) return;
    event.preventDefault();
    actions[event.key]();
  });
}

function openFilters() {
  byId("filter-menu").open = true;
  byId("filter-column").focus();
}

/** Go to the row that Tab reaches. */
function focusFirst() {
  byId("table").querySelector("tbody tr[data-row][tabindex='0']")?.focus();
}

/** Copy the ids of what is chosen, else of the row that has the focus. */
async function copyIds() {
  const row = document.activeElement?.dataset?.row;
  const rows = chosen.size ? [...chosen] : row === undefined ? [] : [Number(row)];
  const ids = rows.flatMap((one) => data.members[one].map((run) => data.ids[run]));
  if (!ids.length) return tellShortly("choose what is to be copied first");
  try {
    await navigator.clipboard.writeText(ids.join("\n"));
    tellShortly(ids.length === 1 ? "its id is copied" : `${ids.length} ids are copied`);
  } catch {
    tellShortly("this browser lets the page copy nothing");
  }
}

let toldTimer = null;

/** Say something for a moment. */
function tellShortly(text) {
  byId("told").textContent = text;
  byId("told").hidden = false;
  clearTimeout(toldTimer);
  toldTimer = setTimeout(() => (byId("told").hidden = true), 3000);
}
