// The statuses with their counts, why experiments are so, and how far all of them are.

// As experiment/alike.py has it: what differs in the reasons of experiments that have ended, or wait, alike.
const PLACE_OF = / \([^()]*\b(?:job|pid) [^()]*\)/g;
const OWNER = /\b(job|pid) \d[\d_]*/g;
const RANK = /\brank \d+ on [\w.-]+/g;
const NUMBER = /(?<![\w.])(?<!exit code )(?<!signal )-?\d[\w.+-]*/g;
const kinds = new Map();

/** Return a reason without what is each experiment's own: `…` stands for it. */
function kindOf(reason) {
  if (!kinds.has(reason)) {
    if (kinds.size > 50_000) kinds.clear();
    const plain = reason.replace(PLACE_OF, "").replace(OWNER, "$1 …").replace(RANK, "rank … on …");
    const colon = plain.indexOf(": ");
    kinds.set(reason, colon < 0 ? plain : plain.slice(0, colon + 2) + plain.slice(colon + 2).replace(NUMBER, "…"));
  }
  return kinds.get(reason);
}

const statusColumn = () => runColumns.find(({ kind }) => kind === "status");
const placeOfStatus = (value) => {
  const order = Object.keys(STATUS);
  return order.includes(value) ? order.indexOf(value) : order.length;
};

/** Show how many have each status: buttons, which stay where only counts are others. */
function showStatuses() {
  const box = byId("statuses");
  const counts = statusColumn()?.counts ?? new Map();
  const wanted = [...counts.keys()].sort((a, b) => placeOfStatus(a) - placeOfStatus(b));
  const focused = box.contains(document.activeElement) ? document.activeElement.dataset.status : undefined;
  const known = new Map([...box.children].map((button) => [button.dataset.status, button]));
  const buttons = wanted.map((value) => known.get(value) ?? statusButton(value));
  if (buttons.length !== box.children.length || buttons.some((button, i) => box.children[i] !== button)) {
    box.replaceChildren(...buttons);
    if (focused !== undefined) buttons.find((button) => button.dataset.status === focused)?.focus();
  }
  const on = new Set(seenAll("status"));
  for (const button of buttons) {
    setText(button.querySelector("b"), String(counts.get(button.dataset.status)));
    button.setAttribute("aria-pressed", on.has(button.dataset.status));
  }
  if (isLive) showProgress(counts);
  showReasons();
}

function statusButton(value) {
  const children = [swatch(statusColour(value)), make("b", {}), ` ${value}`];
  const button = make("button", { type: "button", className: "chip" }, ...children);
  button.dataset.status = value;
  button.addEventListener("click", () => {
    const pressed = new Set(seenAll("status"));
    if (!pressed.delete(value)) pressed.add(value);
    remember("status", [...pressed]);
    showStatuses();
    redraw(applyFilters);
  });
  return button;
}

const MOST_REASONS = 8;

/** Say why those are as they are whose status is asked for, the most frequent first; a click shows only these. */
function showReasons() {
  const box = byId("reasons");
  const [on, why] = [new Set(seenAll("status")), new Set(seenAll("why"))];
  const groups = new Map();
  const [statuses, reasons] = [statusColumn()?.values, runColumnNamed("reason")?.values];
  if (reasons && (on.size || why.size))
    reasons.forEach((reason, run) => {
      if (reason === null || reason === "") return;
      const kind = kindOf(exactText(reason));
      if (on.size ? !on.has(exactText(statuses[run])) : !why.has(kind)) return;
      const found = groups.get(kind);
      if (found) found.count += 1;
      else groups.set(kind, { count: 1, first: exactText(reason) });
    });
  const sorted = [...groups].sort(([, a], [, b]) => b.count - a.count);
  const entries = sorted.slice(0, MOST_REASONS).map(([kind, { count, first }]) => [kind, count, count > 1 ? kind : first]);
  const text = JSON.stringify([entries, sorted.length, [...why]]);
  if (box.dataset.told === text) return;
  box.dataset.told = text;
  const focused = box.contains(document.activeElement) ? document.activeElement.dataset.kind : undefined;
  box.replaceChildren(
    ...entries.map(([kind, count, said]) => reasonButton(kind, count, said, why.has(kind))),
    ...(sorted.length > entries.length ? [make("span", { className: "quiet" }, `and ${sorted.length - entries.length} more reasons`)] : []),
  );
  box.hidden = !entries.length;
  if (focused !== undefined) [...box.children].find((one) => one.dataset.kind === focused)?.focus();
}

function reasonButton(kind, count, reason, isOn) {
  const said = withLocalTimes(reason);
  const button = make("button", { type: "button", className: "reason-button", title: cut(said, 600) }, make("b", {}, `${count} ×`), ` ${cut(said, 160)}`);
  button.dataset.kind = kind;
  button.setAttribute("aria-pressed", isOn);
  button.addEventListener("click", () => {
    const pressed = new Set(seenAll("why"));
    if (!pressed.delete(kind)) pressed.add(kind);
    remember("why", [...pressed]);
    showReasons();
    redraw(applyFilters);
  });
  return button;
}

// ---- How far all are, and what needs somebody ----

/** Show which share has each status, and how many are through. */
function showProgress(counts) {
  const box = byId("progress");
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  box.hidden = !total;
  if (!total) return;
  const through = (counts.get("DONE") ?? 0) + (counts.get("PRUNED") ?? 0);
  const bar = box.querySelector(".track");
  bar.replaceChildren(
    ...[...counts.keys()]
      .filter((value) => value !== "NOT_STARTED")
      .sort((a, b) => placeOfStatus(a) - placeOfStatus(b))
      .map((value) => {
        const part = make("span", { title: `${counts.get(value)} ${value}` });
        part.style.setProperty("--colour", statusColour(value));
        part.style.setProperty("--share", String(counts.get(value) / total));
        return part;
      }),
  );
  const percent = shareOf(through, total);
  bar.setAttribute("aria-valuenow", String(percent));
  const eta = data.eta ? ` · ${data.eta}` : "";
  const text = through === total ? `all ${total} through` : `${through} of ${total} through, ${percent} %${eta}`;
  bar.setAttribute("aria-valuetext", text);
  setText(byId("progress-text"), text);
  byId("progress-text").title = THROUGH;
}

const THROUGH = "through: DONE, or PRUNED by its search; what is DEAD can be started again and isn't";

/** Return a share in percent, rounded: 0 and 100 only where that is so. */
const shareOf = (part, whole) =>
  part === whole ? 100 : Math.min(Math.max(Math.round((100 * part) / whole), part ? 1 : 0), 99);

/** Show what needs somebody, with the commands in it to be copied. */
function showNotices() {
  const lines = data.notices ?? [];
  const box = byId("notices");
  const text = JSON.stringify(lines);
  if (box.dataset.told === text) return;
  box.dataset.told = text;
  box.replaceChildren(...lines.map((line) => make("li", {}, ...noticeParts(line))));
  box.hidden = !lines.length;
}

// A command in a line, and nothing that a shell would take for more than one.
const COMMAND = /(?<=^|: |, and )(heyhi (?:launch|run|retry) [^;&|$`<>\n]+?)(?= (?:starts?|goes? on) )/;

/** Part a line: text, and each command, `so` or as it is, with a button that copies it. */
function noticeParts(line) {
  const [text, command] = typeof line === "string" ? [line, null] : Array.isArray(line) ? line : [line.text, line.command];
  const parts = text.split(text.includes("`") ? /`([^`]+)`/ : COMMAND).map((part, i) => (i % 2 ? commandElement(part) : part));
  return command ? [...parts, " ", commandElement(command)] : parts;
}

function commandElement(command) {
  const button = make("button", { type: "button", className: "plain small" }, "copy");
  button.setAttribute("aria-label", `Copy ${command}`);
  button.addEventListener("click", () => copyFrom(button, command));
  return make("span", { className: "command" }, make("code", {}, command), " ", button);
}

/** Copy a text, and say so on the button; where a page may not, the text is chosen instead. */
async function copyFrom(button, text) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "copied";
  } catch {
    const code = button.parentElement.querySelector("code");
    if (code) getSelection().selectAllChildren(code);
    button.textContent = "chosen: press Ctrl+C";
  }
  setTimeout(() => (button.textContent = "copy"), 2000);
}
