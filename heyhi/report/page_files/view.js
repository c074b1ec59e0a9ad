// How the page is looked at: kept in its address, so that it outlasts a reload and can be sent to somebody.

const view = new URLSearchParams(location.hash.slice(1));
const seen = (name) => view.get(name);
const seenAll = (name) => view.getAll(name);
const MOST_KEPT = 200; // chosen rows: an address has its bounds

/** Keep something: a text, several, or nothing. */
function remember(name, value) {
  view.delete(name);
  for (const text of Array.isArray(value) ? value : value === null ? [] : [value]) view.append(name, text);
  redraw(writeAddress);
}

function writeAddress() {
  const kept = new URLSearchParams(view);
  const rows = kept.getAll("row");
  kept.delete("row");
  rows.slice(0, MOST_KEPT).forEach((row) => kept.append("row", row));
  const text = kept.toString();
  try {
    history.replaceState(null, "", text || location.hash ? `#${text}` : location.href);
  } catch {
    // Where a page has no address of its own, it is kept until it is closed.
  }
}

/** Forget where in the search box the caret was, and return it, or null. */
function takeFocus() {
  const [start, end] = (seen("focus") ?? "").split(",").map(Number);
  view.delete("focus");
  return Number.isInteger(end) ? [start, end] : null;
}

/** Forget where the page was scrolled to, and return it. */
function takeScroll() {
  const [page, inner] = (seen("at") ?? "").split(",").map(Number);
  view.delete("at");
  return { page: page || 0, inner: inner || 0 };
}
