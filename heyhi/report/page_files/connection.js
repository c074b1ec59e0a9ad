// The page of `heyhi serve`: what it shows is fetched, and what is new is fetched whenever the server says so.

const isLive = byId("data") === null; // a page that is a file carries its data

const onNews = []; // called with {all: true} or {runs: [places]} before news is drawn

async function fetchJson(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  return answer.json();
}

/** Fetch news, and show it. */
async function fetchNews() {
  const known = data?.live ? `?server=${data.server}&since=${data.version}` : "";
  const news = await fetchJson(`data${known}`);
  if (!news.version) return;
  if (news.ids) {
    const none = { curves: news.ids.map(() => []), arrays: [], x: [], common: [{}] };
    const details = news.ids.map(() => ({ config: "", flat: { common: 0, own: {} }, attempts: [], log: [], folder: "", log_link: "" }));
    data = { ...data, ...none, ...news, details };
    onNews.forEach((tell) => tell({ all: true }));
    show({});
    return;
  }
  for (const [place, cells] of Object.entries(news.rows)) data.runs.rows[place] = cells;
  for (const [place, counts] of Object.entries(news.counts)) data.counts[place] = counts;
  onNews.forEach((tell) => tell({ runs: Object.keys(news.rows).map(Number) }));
  show({ version: news.version, made: news.made });
}

/** Fetch what is shown first, as soon as there is something. */
async function fetchFirst() {
  while (!data) {
    await fetchNews();
    if (!data) await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function connect() {
  const events = new EventSource("events");
  events.addEventListener("version", () => fetchNews());
}
