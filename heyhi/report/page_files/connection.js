// The page of `heyhi serve`: what it shows is fetched, and what is new is fetched whenever the server says so.

const isLive = byId("data") === null; // a page that is a file carries its data
const onNews = []; // called with {all: true} or {runs: [places]} once news is in the data, before it is drawn

const PACE = 500; // milliseconds between news: a burst is drawn twice a second
const PAUSES = [500, 1000, 2000, 4000]; // milliseconds before the next try; the last again and again
const LASTING = 10_000; // milliseconds, after which a stream is no failed try
const SILENCE = 30_000; // milliseconds without a word, after which the server is asked for one
const PATIENCE = 60_000; // milliseconds for an answer

let events = null; // the stream, while there is one
let lostSince = null;
let lostWhy = "";
let lookError = ""; // what the server says of its own last look
let tries = 0;
let [nextTry, nextNews, silence] = [null, null, null]; // timers
let [isFetching, isNews, lastNews] = [false, false, -Infinity];
let heardMeanwhile = null; // what the server has said of its state while that was fetched
let fetches = 0; // that are under way

/** Fetch JSON from the server; what goes wrong is an Error whose message can be shown. */
async function fetchJson(address) {
  fetches += 1;
  try {
    let answer;
    try {
      const early = address === "data" ? takeEarly() : null;
      answer = await (early ?? fetch(address, { headers: { "HeyHi-Key": ownKey() }, signal: AbortSignal.timeout(PATIENCE) }));
    } catch (error) {
      lost("");
      throw new Error("the server doesn't answer", { cause: error });
    }
    if (answer.ok) {
      const found = await answer.json();
      answered();
      return found;
    }
    if (answer.status === 403) {
      lost(FORBIDDEN);
      throw new Error(FORBIDDEN);
    }
    const text = `${answer.status} ${(await answer.text()).trim().slice(0, 300)}`;
    throw Object.assign(new Error(text), { isRefused: answer.status === 400 });
  } finally {
    fetches -= 1;
  }
}

/** Return the answer that early.js has asked for, once. */
function takeEarly() {
  const early = globalThis.earlyData;
  globalThis.earlyData = null;
  return early;
}

let handedKey = ""; // in a frame whose storage is closed

/** Take the key away that enter.js has put into the address. */
function takeKey() {
  handedKey = seen("heyhi-key") ?? "";
  if (!handedKey) return;
  view.delete("heyhi-key");
  writeAddress();
}

/** Return what the server wants to be shown beside the cookie, as it is now: another tab may have brought a new one. */
function ownKey() {
  try {
    return localStorage.getItem("heyhi-key") ?? handedKey;
  } catch {
    return handedKey; // storage is closed to this page
  }
}

const FORBIDDEN = "open the address that `heyhi serve` prints now: its token is another one";
const isConnected = () => lostSince === null;

/** Ask for news soon: at once where none came lately, and again where more came while it was fetched. */
function wantNews() {
  isNews = true;
  if (isFetching || nextNews !== null || document.hidden) return;
  nextNews = setTimeout(bringNews, Math.max(0, lastNews + PACE - performance.now()));
}

async function bringNews() {
  nextNews = null;
  [isFetching, isNews, lastNews] = [true, false, performance.now()];
  try {
    const known = data?.live ? `?server=${encodeURIComponent(data.server)}&since=${data.version}` : "";
    const news = await fetchJson(`data${known}`);
    if (news.version && !(data?.live && news.server === data.server && news.version < data.version)) await takeOrStart(news);
  } catch (error) {
    if (isConnected()) lost(error.message);
  } finally {
    isFetching = false;
    if (isNews || isNewTo(heardMeanwhile)) wantNews();
    heardMeanwhile = null;
  }
}

let gotFirst = null; // resolves once there is something to show

async function takeOrStart(news) {
  if (data) return takeNews(news);
  takeNews(news);
  gotFirst();
}

/** Fetch what is shown first, as soon as there is something. */
function fetchFirst() {
  showConnection();
  const first = new Promise((resolve) => (gotFirst = resolve));
  document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : connect()));
  addEventListener("online", () => lostSince !== null && connect());
  if (document.hidden) wantNews();
  connect();
  return first;
}

/** Listen to the server: it says when there is news. */
function connect() {
  if (document.hidden && data) return;
  clearTimeout(nextTry);
  disconnect();
  events = new EventSource(`events?key=${encodeURIComponent(ownKey())}`);
  events.addEventListener("open", answered);
  events.addEventListener("version", heard);
  const begun = performance.now();
  events.addEventListener("error", () => {
    disconnect();
    // It may have ended for another page's of this browser: whether the server is there, a fetch tells.
    tries = performance.now() - begun > LASTING ? 0 : tries + 1;
    retryLater();
  });
  isNews = true;
  wantNews();
  watchSilence();
}

function disconnect() {
  clearTimeout(silence);
  events?.close();
  events = null;
}

function heard({ data: text }) {
  const said = parsed(text) ?? {};
  lookError = typeof said.error === "string" ? said.error : "";
  answered();
  watchSilence();
  if (isFetching) heardMeanwhile = said; // of what is on its way, perhaps
  else if (isNewTo(said)) wantNews();
}

const isNewTo = (said) => said !== null && (said.server !== data?.server || said.version !== data?.version);

/** A connection may be gone without a sign, as that of a computer that has slept. */
function watchSilence() {
  clearTimeout(silence);
  silence = setTimeout(() => {
    wantNews();
    watchSilence();
  }, SILENCE);
}

function answered() {
  [lostSince, lostWhy] = [null, ""];
  showConnection();
}

/** Say that the server is out of reach, and try again, ever more seldom. */
function lost(why) {
  lostSince ??= new Date();
  lostWhy = why || lostWhy;
  showConnection();
  retryLater();
}

function retryLater() {
  clearTimeout(nextTry);
  nextTry = setTimeout(retry, PAUSES[Math.min(tries, PAUSES.length - 1)]);
}

/** Learn by a fetch whether it is there again: a stream doesn't say why it isn't. */
async function retry() {
  tries += 1;
  if (document.hidden && data) return; // it goes on when somebody looks
  lostWhy = "";
  try {
    await fetchJson(`data${data?.live ? `?server=${encodeURIComponent(data.server)}&since=${data.version}` : ""}`);
    connect();
  } catch (error) {
    if (isConnected()) lost(error.message);
  }
}

/** Say how the page hears of what is new. */
function showConnection() {
  const line = byId("connection");
  line.hidden = false;
  const state = lostSince !== null ? "lost" : data?.live ? "live" : "connecting";
  line.dataset.state = state;
  const since = lostSince?.toLocaleTimeString();
  const texts = { live: "live", connecting: "reading…", lost: `connection lost since ${since}: ${lostWhy || "trying again"}` };
  setText(line, texts[state]);
  const error = lookError && state !== "lost" ? `${data ? "What is shown may be old: " : ""}${lookError}` : "";
  setText(byId("look-error"), error);
  byId("look-error").hidden = !error;
}
