// A page of experiments that aren't through loads itself again, and is looked at as before.

const REST = 2000; // milliseconds for which nobody has touched the page
let lastTouch = -Infinity;
const IDLE = 1.5; // times as long as between two loads: who has left the page in the midst of something is gone
let reloading = null; // the timer
let opened = 0; // milliseconds that it took to open the page

function linkReloading() {
  for (const kind of ["pointerdown", "pointermove", "keydown", "wheel", "touchmove"])
    addEventListener(kind, () => (lastTouch = performance.now()), { passive: true, capture: true });
  byId("reload").addEventListener("click", () => {
    remember("reload", seen("reload") === "off" ? null : "off");
    showReloading();
  });
  document.addEventListener("visibilitychange", () => document.hidden || showReloading());
}

const isMenuOpen = () =>
  document.querySelector("details.menu[open], dialog[open]") !== null || document.querySelector(".dt-button-collection, .dtcc-dropdown") !== null;

/** Say whether the page loads itself again, and see to it. */
function showReloading() {
  const on = seen("reload") !== "off";
  byId("reload").hidden = !data.refresh;
  byId("reload").textContent = on ? `⟳ every ${data.refresh} s` : "⟳ off";
  byId("reload").setAttribute("aria-pressed", on);
  clearTimeout(reloading);
  // What takes long to open is opened less often.
  if (data.refresh && on) reloading = setTimeout(loadAgain, Math.max(1000 * data.refresh, 3 * opened));
}

/** Load the page again, once nobody is at work on it. */
function loadAgain() {
  const [rest, still] = [Math.min(REST, 1000 * data.refresh), performance.now() - lastTouch];
  const typing = document.activeElement?.matches("input[type=search], input[type=text], input:not([type])");
  if (document.hidden) return; // it goes on when somebody looks
  const inUse = still < 1000 * IDLE * data.refresh && (typing || isMenuOpen() || !getSelection().isCollapsed);
  if (still < rest || inUse) {
    byId("reload").textContent = "⟳ waits while you work";
    reloading = setTimeout(loadAgain, rest);
    return;
  }
  rememberAll();
  location.reload();
}

/** Keep what nobody has chosen, too: other data could suggest another picture. */
function rememberAll() {
  for (const id of ["x", "scatter-x", "scatter-y", "lines"]) if (byId(id).value) remember(id, byId(id).value);
  remember("metric", drawnMetrics());
  remember("at", [scrollY, scroller()?.scrollTop ?? 0].map(Math.round).join(","));
  const box = searchBox();
  remember("focus", document.activeElement === box ? [box.selectionStart, box.selectionEnd].join(",") : null);
  writeAddress();
}

/** Put the focus and the caret where they were. */
function giveFocus(focus) {
  if (focus === null) return;
  searchBox().focus({ preventScroll: true });
  searchBox().setSelectionRange(...focus);
}
