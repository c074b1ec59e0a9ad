// The log of one experiment: its end, which follows what is written, earlier pieces as one scrolls up, and its last error.

const MOST_LOG = 1 << 20; // characters that are shown; beyond them what is farther away goes
const FOLLOWED = 1000; // milliseconds between two looks at the end
const NEAR_END = 24; // pixels from an end of the box, within which one is at it
const NEAR_START = 200;
const FAR_BEHIND = 512 * 1024; // bytes: who is farther behind goes to the end at once
const MOST_MATCHES = 2000;

let log = null; // the one that is shown

/** Return the section of a run's log: the same one while it is of the same run. */
function logOf(run, answer) {
  const key = data.keys[run];
  if (log?.key !== key) {
    log?.end();
    log = new Log(key);
  }
  log.offer(answer);
  return log.section;
}

function endLog() {
  log?.end();
  log = null;
}

class Log {
  constructor(key) {
    this.key = key;
    this.pieces = []; // { from, to, element }, one after the other
    this.isFollowing = true;
    this.asked = 0; // which request is the last: what answers an earlier one is dropped
    this.file = null; // which file it is
    this.make();
    this.timer = setInterval(() => this.follow(), FOLLOWED);
    this.start();
  }

  end() {
    clearInterval(this.timer);
    this.asked += 1;
    CSS.highlights?.delete("found");
    CSS.highlights?.delete("found-here");
  }

  make() {
    const button = (text, onclick, title = "") => make("button", { type: "button", className: "plain", onclick, title }, text);
    this.attempt = make("select", { oninput: () => this.start() });
    this.rank = make("select", { oninput: () => this.start() });
    this.choices = [
      make("label", { hidden: true }, "attempt ", this.attempt),
      make("label", { hidden: true }, "rank ", this.rank),
    ];
    this.error = button("last error", () => this.goToError());
    this.on = button("follow", () => this.start(), "go on with what is written");
    this.find = make("input", { type: "search", placeholder: "find in what is shown", oninput: () => this.search(0) });
    this.find.setAttribute("aria-label", "Find in the log");
    this.find.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      this.search(event.shiftKey ? -1 : 1);
    });
    this.found = make("span", { className: "quiet", role: "status" });
    this.wrap = make("input", { type: "checkbox", oninput: () => this.box.classList.toggle("wrapped", this.wrap.checked) });
    this.box = make("pre", { tabIndex: 0, className: "log" });
    this.rest = make("span"); // of a line that has no end yet
    this.box.append(this.rest);
    this.box.setAttribute("role", "log");
    this.box.setAttribute("aria-label", "Log");
    this.box.setAttribute("aria-live", "off");
    this.box.addEventListener("scroll", () => this.onScroll(), { passive: true });
    this.note = make("p", { className: "quiet note" });
    const wrap = make("label", {}, this.wrap, "wrap");
    const bar = make("div", { className: "bar log-bar" }, ...this.choices, this.error, this.find, this.found, wrap, this.on);
    this.section = section("Log", true, bar, this.box, this.note);
    this.section.addEventListener("toggle", () => this.section.open && this.follow());
  }

  /** Offer the attempts and ranks whose logs there are. */
  offer(answer) {
    const choices = [
      [this.attempt, (answer.logs?.attempts ?? []).map(String)],
      [this.rank, (answer.logs?.ranks ?? []).map(String)],
    ];
    choices.forEach(([select, values], i) => {
      const known = [...select.options].slice(1).map((option) => option.value);
      this.choices[i].hidden = values.length < 2;
      if (known.join() === values.join()) return;
      const kept = select.value;
      const first = i ? "first" : "last";
      select.replaceChildren(...[["", first], ...values.map((one) => [one, one])].map(([value, text]) => make("option", { value }, text)));
      select.value = values.includes(kept) ? kept : "";
    });
  }

  get from() {
    return this.pieces[0]?.from ?? 0;
  }

  get to() {
    return this.pieces.at(-1)?.to ?? 0;
  }

  get isAtEnd() {
    return this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight <= NEAR_END;
  }

  /** Fetch a piece; null where another one was asked for since, or it went wrong. */
  async fetch(where) {
    const asked = (this.asked += 1);
    const query = new URLSearchParams(where);
    if (this.attempt.value) query.set("attempt", this.attempt.value);
    if (this.rank.value) query.set("rank", this.rank.value);
    if (this.file !== null && !("at" in where)) query.set("file", this.file);
    this.isBusy = true;
    try {
      const piece = await fetchJson(`experiments/${this.key}/log?${query}`);
      if (asked !== this.asked) return null;
      this.isBusy = false;
      this.failed = "";
      if (piece.file !== undefined) this.file = piece.file;
      [this.size, this.begin] = [piece.size, piece.start ?? 0];
      if (!("before" in where)) this.restTo = piece.rest_to; // what is shown of it is cleaned, and shorter
      this.unreadable = piece.unreadable ?? "";
      return piece;
    } catch (error) {
      if (asked === this.asked) {
        this.isBusy = false;
        this.failed = error.message;
        this.say();
      }
      return null;
    }
  }

  /** Show the end, and follow. */
  async start() {
    [this.file, this.told] = [null, ""];
    const piece = await this.fetch({});
    if (!piece) return;
    this.isFollowing = true;
    this.showOnly(piece);
    this.rest.textContent = readable(piece.rest ?? "");
    this.box.scrollTop = this.box.scrollHeight;
  }

  showOnly(piece) {
    this.pieces.forEach(({ element }) => element.remove());
    this.pieces = [];
    this.rest.textContent = "";
    this.add(piece, false);
  }

  /** Show a piece after or before the others. */
  add(piece, isBefore) {
    if (piece.text || piece.to > piece.from) {
      const element = make("span", {}, piece.text);
      const one = { from: piece.from, to: piece.to, element, length: piece.text.length };
      if (isBefore) this.pieces.unshift(one);
      else this.pieces.push(one);
      const height = this.box.scrollHeight;
      if (isBefore) this.box.prepend(element);
      else this.rest.before(element);
      if (isBefore) this.box.scrollTop += this.box.scrollHeight - height; // what one reads stays where it is
      this.drop(isBefore);
    }
    this.say();
    if (this.find.value) this.search(null);
  }

  /** Take away what is farthest from where one reads. */
  drop(atEnd) {
    let total = this.pieces.reduce((sum, { length }) => sum + length, 0);
    while (total > MOST_LOG && this.pieces.length > 1) {
      const height = this.box.scrollHeight;
      const one = atEnd ? this.pieces.pop() : this.pieces.shift();
      total -= one.length;
      one.element.remove();
      if (!atEnd) this.box.scrollTop -= height - this.box.scrollHeight;
    }
  }

  /** Look whether something was written, while somebody looks at the end. */
  async follow() {
    if (!this.section.isConnected || byId("details").hidden) return;
    if (this.isBusy || !this.section.open || document.hidden || !this.isFollowing) return;
    if (this.box.checkVisibility && !this.box.checkVisibility()) return;
    const piece = await this.fetch({ from: this.to });
    if (!piece) return;
    if (piece.anew || piece.size < this.to || piece.size - piece.to > FAR_BEHIND) return this.start();
    this.rest.textContent = readable(piece.rest ?? "");
    if (!piece.text) return this.toEnd();
    const last = this.pieces.at(-1);
    if (last && last.length + piece.text.length < 1 << 16) {
      last.element.firstChild ? last.element.firstChild.appendData(readable(piece.text)) : last.element.append(readable(piece.text));
      last.to = piece.to;
      last.length += piece.text.length;
      this.say();
      if (this.find.value) this.search(null);
    } else this.add(piece, false);
    this.toEnd();
    if (piece.to < piece.size && !piece.rest) this.follow();
  }

  toEnd() {
    if (this.isFollowing) this.box.scrollTop = this.box.scrollHeight;
    this.say();
  }

  onScroll() {
    if (!this.pieces.length) return;
    const isAtEnd = this.isAtEnd;
    const isWhole = Math.max(this.to, this.restTo ?? 0) >= this.size;
    this.isFollowing = isAtEnd && (isWhole || this.isFollowing);
    this.say();
    if (this.isBusy) return;
    if (this.box.scrollTop < NEAR_START && this.from > this.begin) this.earlier();
    else if (isAtEnd && !isWhole) this.later();
  }

  async earlier() {
    const before = this.from;
    const piece = await this.fetch({ before });
    if (!piece) return;
    if (piece.anew || piece.from >= before) return void (piece.anew && this.start());
    this.add(piece, true);
  }

  async later() {
    const piece = await this.fetch({ from: this.to });
    if (!piece) return;
    if (piece.anew || piece.size < this.to) return this.start();
    this.add(piece, false);
  }

  /** Show where the last error begins. */
  async goToError() {
    const piece = await this.fetch({ at: "error" });
    if (!piece) return;
    if (this.unreadable) return this.say();
    const isThere = Boolean(piece.error?.text);
    this.told = isThere ? (piece.error.is_traceback ? "" : "no traceback is in it: these are its last lines") : "no error is in it";
    if (!isThere) return this.say();
    this.isFollowing = false;
    const rank = String(piece.error.rank ?? "");
    if ([...this.rank.options].some(({ value }) => value === rank)) this.rank.value = rank;
    this.showOnly(piece);
    const text = this.pieces[0]?.element.firstChild;
    this.box.scrollTop = 0;
    this.mark(text ? [[text, 0, Math.min(piece.error.text.length, text.length)]] : [], 0);
    this.box.focus({ preventScroll: true });
  }

  /** Scroll to a place in a text. */
  reveal(text, start) {
    const range = document.createRange();
    range.setStart(text, Math.min(start, text.length));
    range.setEnd(text, Math.min(start + 1, text.length));
    const [place, box] = [range.getBoundingClientRect(), this.box.getBoundingClientRect()];
    this.box.scrollTop += place.top - box.top - this.box.clientHeight / 4;
  }

  /** Mark what was found, without changing the text. */
  mark(found, here) {
    if (!CSS.highlights) return;
    const ranges = found.map(([text, start, end]) => {
      const range = document.createRange();
      range.setStart(text, start);
      range.setEnd(text, end);
      return range;
    });
    CSS.highlights.set("found", new Highlight(...ranges));
    CSS.highlights.set("found-here", new Highlight(...ranges.slice(here, here + 1)));
  }

  /** Find the text of the box: go on by `step` matches; null after the text has changed. */
  search(step) {
    const wanted = this.find.value.toLowerCase();
    const found = [];
    for (const { element } of wanted ? this.pieces : []) {
      const text = element.firstChild;
      if (!text) continue;
      const data = text.data.toLowerCase();
      for (let at = data.indexOf(wanted); at >= 0 && found.length < MOST_MATCHES; at = data.indexOf(wanted, at + wanted.length))
        if (at + wanted.length <= text.length) found.push([text, at, at + wanted.length]);
    }
    if (step === 0) this.here = found.length - 1; // the last one says most
    else if (step !== null) this.here = (this.here + step + found.length) % Math.max(found.length, 1);
    this.here = Math.min(Math.max(this.here ?? 0, 0), Math.max(found.length - 1, 0));
    this.found.textContent = wanted ? (found.length ? `${this.here + 1} of ${found.length}` : "not found") : "";
    this.mark(found, this.here);
    if (step === null || !found.length) return;
    this.isFollowing = false;
    this.reveal(found[this.here][0], found[this.here][1]);
    this.say();
  }

  /** Say what is shown of the log. */
  say() {
    this.on.hidden = this.isFollowing;
    const parts = this.told ? [this.told] : [];
    if (this.failed) parts.push(`not fetched: ${this.failed} (it is tried again)`);
    if (this.unreadable) parts.push(this.unreadable);
    else if (!this.pieces.length) parts.push("nothing is written yet");
    else {
      if (this.from > this.begin) parts.push(`from byte ${this.from.toLocaleString()}: scroll up for what is before`);
      parts.push(`${(this.size ?? 0).toLocaleString()} bytes`);
      parts.push(this.isFollowing ? "follows" : this.to < this.size ? "scroll down for what is after" : "doesn't follow");
    }
    this.note.textContent = parts.join(" · ");
  }
}
