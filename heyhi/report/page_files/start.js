// The start of the page, and what shows data: at first what the page carries, later whatever is given to it.

/**
 * Show data as page_payload.py makes it: all of it, or the parts that are new. What is chosen, sorted and filtered
 * stays, and so do the axes.
 */
function show(part) {
  const last = lastChosen === null ? null : keyOf(lastChosen);
  const lastId = lastRun === null ? null : data.ids[lastRun];
  data = { ...data, ...part };
  readData();
  readMetrics();
  chosen = new Set(); // by its places in what was shown before
  showControls();
  if (isLive) wantCurvesAhead();
  showHead();
  for (const id of ["curves-card", "overrides-card"]) byId(id).hidden = !data.ids.length;
  showTable();
  chooseSeen();
  lastChosen = [...chosen].find((row) => keyOf(row) === last) ?? [...chosen][0] ?? null;
  lastRun = lastId === null ? null : data.ids.indexOf(lastId);
  drawCurves();
  drawOverrides();
  drawSearch();
  drawDetails();
  showReloading();
}

if (isLive) takeKey();
history.scrollRestoration = "manual"; // the page isn't as high as it was before it is drawn
linkTheme();
linkControls();
linkFilters();
linkKeys();
linkReloading();
const scrolled = takeScroll();
const focused = takeFocus();
if (isLive) linkGrowing();
if (isLive) await fetchFirst();
else show(JSON.parse(byId("data").textContent));
linkPlots();
opened = performance.now();
showReloading();
const isWorking = () => pending.size || typing !== null || smoothTimer !== null || fetches || nextNews !== null;
const isStill = () => !isWorking() && !(isLive && isAwaited());
globalThis.heyhi = { wantNews, kindOf, show, isDrawn: isStill };
scrollTo(0, scrolled.page);
if (scrolled.inner) scroller().scrollTop = scrolled.inner;
giveFocus(focused);
writeAddress();
// Before anybody else hears of the key: what it closes is open still.
document.addEventListener("keydown", (event) => event.key === "Escape" && clearChosen(event.target), true);
requestAnimationFrame(() =>
  setTimeout(() => {
    document.body.dataset.ready = String(Math.round(performance.now())); // ms since navigation: what the tests measure
  }),
);
