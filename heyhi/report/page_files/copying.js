// Lines to copy: a command, a folder. Nothing is started from the page.

/** Make a button that copies a text, and says so. */
function copyButton(text, label = "copy", shown = null) {
  const button = make("button", { type: "button", className: "plain copy", title: text }, label);
  button.addEventListener("click", async () => {
    const isCopied = await copy(text);
    if (!isCopied && shown) selectText(shown);
    button.textContent = isCopied ? "copied" : shown ? "press Ctrl+C" : "not copied";
    setTimeout(() => (button.textContent = label), SAID_FOR);
  });
  button.setAttribute("aria-live", "polite");
  return button;
}

const SAID_FOR = 1500; // milliseconds

/** Copy a text; a browser allows it at addresses that are secure, as 127.0.0.1 is. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

function selectText(element) {
  const range = document.createRange();
  range.selectNodeContents(element);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
}

/** Show a line with its button. */
function copyLine(text) {
  const code = make("code", { tabIndex: 0 }, text);
  return make("div", { className: "copied-line" }, code, copyButton(text, "copy", code));
}

/** List what is done by which command. */
const commandList = (commands) =>
  make("dl", { className: "commands" }, ...commands.flatMap(([what, line]) => [make("dt", {}, what), make("dd", {}, copyLine(line))]));

/**
 * Return the commands of several experiments: one for all where they only differ in the id, which such a command takes
 * several of, else each.
 */
function commandsOfAll(runs, commandsOf) {
  const found = new Map(); // what -> template -> ids
  for (const run of runs)
    for (const [what, line] of commandsOf(run)) {
      const [template, id] = templateOf(line, data.ids[run]);
      if (!found.has(what)) found.set(what, new Map());
      found.get(what).set(template, [...(found.get(what).get(template) ?? []), id]);
    }
  const lines = [];
  for (const [what, templates] of found)
    for (const [template, ids] of templates) {
      const count = ids.length > 1 ? ` (${ids.length})` : "";
      const isOne = JOINED.test(template) || ids.length === 1;
      for (const some of isOne ? [ids.join(" ")] : ids)
        lines.push([isOne ? `${what}${count}` : what, template.replace(PLACE, () => some)]);
    }
  return lines;
}

const PLACE = "\0";
const JOINED = /^heyhi (retry|cancel|status|report)\b/; // what takes several experiments

/** Part a command into what it is for any experiment, and the id as it is written in it. */
function templateOf(line, id) {
  for (const written of [`'${id.replaceAll("'", "'\"'\"'")}'`, id]) {
    const at = line.indexOf(written);
    if (at >= 0) return [line.slice(0, at) + PLACE + line.slice(at + written.length), written];
  }
  return [line, ""];
}
