// Text of a task as it can be shown: nothing in it hides, breaks lines that it shouldn't, or turns what stands behind it.

// As text.py has it: control characters, halves of surrogates, what breaks lines, and what turns the direction.
const UNSHOWN = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]/gu;

/** Return text with what nobody would see as its escape; line ends and tabs stay. `make`, `plotText` and `setText` do it. */
const readable = (text) => text.replace(UNSHOWN, escaped);

function escaped(char) {
  if (char === "\r") return "\\r";
  const code = char.charCodeAt(0);
  return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16)}`;
}

/** Write a text where another one is; what is chosen in an equal one stays. */
function setText(element, text) {
  const shown = readable(text);
  if (element.textContent !== shown) element.textContent = shown;
}

/** Cut a long text in its middle, where names differ least. */
const cut = (text, length) =>
  text.length <= length ? text : `${text.slice(0, length / 2).replace(/[\ud800-\udbff]$/, "")}…${text.slice(-length / 2).replace(/^[\udc00-\udfff]/, "")}`;

/** What is called nothing is named by its quotes. */
const nameText = (name, length = 60) => (name === "" ? '""' : cut(name, length));
