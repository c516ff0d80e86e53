// Two answers side by side, judged by keyboard. The next items are here before they are needed, and what a person
// chose is painted at once; acts.js sees that it arrives.
const AHEAD = 12;
const LOW = 6;
const PICTURES = 3;
const TINY = 128;
const LEAST_ROOM = 380;
const BELOW = 44;
const SCROLL = { ArrowUp: -60, ArrowDown: 60, PageUp: -320, PageDown: 320 };
const CHOICES = { ArrowLeft: "left", 1: "left", ArrowRight: "right", 2: "right", " ": "tie", 0: "tie" };

class Duel {
  constructor(root, component) {
    this.root = root;
    this.component = component;
    this.data = component.data;
    this.queue = [];
    this.done = [];
    this.sure = false;
    this.judged = this.data.progress.judged;
    this.total = this.data.progress.total;
    this.last = this.data.progress.last;
    this.stop = new AbortController();
    this.acts = new Acts(this.data.duel, this.data.me, {
      state: (name, n) => this.mark(this.data.text[name], n, name === "offline" || name === "signed_out"),
      refused: (act, reason) => this.refused(act, reason),
      progress: (progress) => this.take(progress),
    });
    this.build();
    // Keys count wherever the focus is, but in a field or on a button elsewhere on the page.
    document.addEventListener("keydown", (event) => this.key(event), { capture: true, signal: this.stop.signal });
    addEventListener("resize", () => this.fit(), { signal: this.stop.signal });
    this.begin();
  }

  // As tall as the window leaves room, so that nothing needs to be scrolled to but a long text itself.
  fit() {
    const page = this.root.getRootNode().host?.closest("[data-testid=stMain]");
    const top = this.stage.getBoundingClientRect().top + (page?.scrollTop ?? 0);
    this.board.style.height = `${Math.max(LEAST_ROOM, Math.round(innerHeight - top - BELOW))}px`;
  }

  build() {
    const t = this.data.text;
    const button = (text, key, title, testid, onclick) =>
      element("button", { type: "button", title, "data-testid": testid, onclick: () => { onclick(); this.stage.focus(); } },
        element("span", { text }), element("kbd", { text: key }));
    this.count = element("span", { class: "n", "data-testid": "duel-count" });
    this.bar = element("progress", { "aria-label": t.progress });
    this.marker = element("span", { class: "marker", role: "status", "data-testid": "duel-marker" });
    this.sureButton = button(t.sure, "C", t.sure_help, "duel-sure", () => this.toggleSure());
    this.sureButton.setAttribute("aria-pressed", "false");
    this.undoButton = button(t.undo, t.undo_key, t.undo_help, "duel-undo", () => this.undo());
    this.tools = element("div", { class: "bar" }, this.count, this.bar, this.marker, element("span", { class: "grow" }), this.sureButton, this.undoButton);
    this.query = element("div", { class: "query", dir: "auto", "data-testid": "duel-query" });
    this.picture = element("img", { alt: t.picture, draggable: "false", onerror: () => this.noPicture(), "data-testid": "duel-picture" });
    this.missing = element("p", { class: "note", text: t.picture_gone });
    this.frame = element("div", { class: "frame" }, this.picture, this.missing);
    this.sides = {};
    for (const [side, name, key] of [["left", t.left, "← 1"], ["right", t.right, "→ 2"]]) {
      const text = element("div", { class: "text", dir: "auto", "data-testid": `duel-${side}` });
      const sure = element("div", { class: "sure" });
      const choose = button(t.choose, key, name, `duel-choose-${side}`, () => this.choose(side));
      this.sides[side] = { text, sure, box: element("section", { class: "answer", "aria-label": name }, element("h3", { text: name }), text, sure, choose) };
    }
    this.tie = button(t.tie, t.tie_key, t.tie_help, "duel-tie", () => this.choose("tie"));
    this.pair = element("div", { class: "pair" }, this.sides.left.box, this.frame, this.sides.right.box);
    this.hint = element("p", { class: "note", text: t.hint });
    this.board = element("div", { class: "board" }, this.query, this.pair, element("div", { class: "bar middle" }, this.tie), this.hint);
    this.message = element("div", { class: "message", role: "status", "data-testid": "duel-message" });
    this.stage = element("div", { class: "stage", tabindex: "0", "aria-label": t.judging, "data-testid": "duel" }, this.message, this.board);
    this.root.replaceChildren(this.tools, this.stage);
    this.stage.focus({ preventScroll: true });
  }

  // What an earlier load left behind goes first, so that it is not asked again.
  async begin() {
    this.show();
    await this.acts.send();
    await this.load();
  }

  get item() { return this.queue[0]; }

  async load() {
    if (this.loading || this.exhausted) return;
    this.loading = true;
    const confirmed = this.acts.waiting.length ? -1 : this.acts.confirmed;
    const after = this.queue.reduce((most, item) => Math.max(most, item.number), 0);
    try {
      const answer = await fetch(`/api/v1/duels/${this.data.duel}/next/?after=${after}&limit=${AHEAD}`, { signal: this.stop.signal });
      const found = await answer.json();
      if (!answer.ok) throw new Error(found.detail);
      const known = new Set([...this.queue.map((item) => item.number), ...this.acts.waiting.map((act) => act.number), ...this.done.map((each) => each.item.number)]);
      this.queue.push(...found.items.filter((item) => !known.has(item.number)));
      this.exhausted = found.items.length < AHEAD;
      this.failed = "";
      // Counts from before the newest choice would step back.
      if (this.acts.confirmed === confirmed) this.take(found.progress);
    } catch (error) {
      if (this.stop.signal.aborted) return;
      this.failed = error instanceof TypeError ? this.data.text.no_connection : error.message;
      this.again = setTimeout(() => this.load(), 3000);
    } finally { this.loading = false; }
    this.show();
  }

  take(progress) {
    if (this.acts.waiting.length) return;
    ({ judged: this.judged, total: this.total, last: this.last } = progress);
    this.closed = progress.status === "closed";
    this.looked = progress.looked;
    this.drawCount();
    if (this.item) return;
    if (this.judged < this.total && !this.closed && !this.looked && !this.loading) {
      // Something came back, from another tab or as a refusal.
      this.done = [];
      this.exhausted = false;
      this.load();
    }
    this.show();
  }

  // --- drawing ----------------------------------------------------------------

  show() {
    const { item } = this;
    this.drawCount();
    const ended = !item && (this.exhausted || this.closed || this.looked);
    this.board.hidden = !item;
    this.message.hidden = Boolean(item);
    if (!item) { this.drawMessage(ended); return; }
    if (this.shown === item.number) return;
    this.shown = item.number;
    for (const next of this.queue.slice(1, PICTURES)) if (next.picture) new Image().src = next.picture.url;
    this.since = performance.now();
    this.fit();
    this.query.textContent = item.query ?? "";
    this.query.hidden = item.query === null;
    this.query.scrollTop = 0;
    this.frame.hidden = !item.picture;
    this.pair.classList.toggle("pictured", Boolean(item.picture));
    this.missing.hidden = true;
    this.picture.hidden = false;
    if (item.picture) {
      this.picture.src = item.picture.url;
      this.picture.classList.toggle("tiny", Math.max(item.picture.width, item.picture.height) <= TINY);
    } else this.picture.removeAttribute("src");
    const known = item.left_confidence !== null && item.right_confidence !== null;
    this.sureButton.hidden = !known;
    for (const side of ["left", "right"]) {
      const { text, sure } = this.sides[side];
      text.textContent = item[side] || this.data.text.empty_answer;
      text.classList.toggle("none", !item[side]);
      text.scrollTop = 0;
      sure.textContent = known ? fill(this.data.text.sure_of, { n: Math.round(100 * item[`${side}_confidence`]) }) : "";
      sure.hidden = !known || !this.sure;
    }
  }

  drawCount() {
    this.count.textContent = fill(this.data.text.count, { n: this.judged.toLocaleString(), total: this.total.toLocaleString() });
    this.bar.max = Math.max(1, this.total);
    this.bar.value = this.judged;
    this.tools.hidden = !this.total;
    this.undoButton.disabled = this.closed || this.looked || !(this.done.length || this.last);
  }

  drawMessage(ended) {
    const t = this.data.text;
    this.shown = null;
    if (!ended) { this.message.replaceChildren(element("p", { text: this.failed || t.loading })); return; }
    const seen = this.closed || this.looked;
    const title = this.closed ? t.closed : this.looked ? t.looked : this.total ? t.finished : t.nothing;
    const parts = [element("h3", { text: title })];
    if (this.total && !seen) parts.push(element("p", { text: t.finished_more }));
    if (this.total || seen) {
      this.results = element("button", {
        type: "button", class: "main", text: t.results, "data-testid": "duel-results",
        onclick: async () => { await this.acts.send(); this.component.setTriggerValue("results", Date.now()); },
      });
      parts.push(this.results);
    }
    this.message.replaceChildren(...parts);
  }

  noPicture() {
    if (!this.picture.getAttribute("src")) return;
    this.picture.hidden = true;
    this.missing.hidden = false;
  }

  mark(text, n, bad) {
    this.marker.textContent = fill(text, { n });
    this.marker.classList.toggle("bad", bad);
  }

  // --- judging ----------------------------------------------------------------

  choose(choice) {
    const { item } = this;
    if (!item) return;
    this.queue.shift();
    this.done.push({ item, choice });
    this.judged += 1;
    this.acts.add({ number: item.number, choice, seconds: Math.round(performance.now() - this.since) / 1000 });
    if (this.queue.length < LOW) this.load();
    this.show();
  }

  async undo() {
    if (this.closed || this.looked) return;
    const back = this.done.pop();
    const number = back?.item.number ?? (this.acts.waiting.length ? null : this.last);
    if (!number) return;
    this.judged -= 1;
    this.last = null;
    const sent = this.acts.add({ number, choice: null });
    if (back) this.queue.unshift(back.item);
    this.show();
    this.mark(this.data.text.undone, 1, false);
    if (back) return;
    // Judged before this load: the server has the item.
    await sent;
    this.queue = [];
    this.exhausted = false;
    await this.load();
  }

  refused(act, reason) {
    this.mark(fill(this.data.text.refused, { reason }), 0, true);
    this.done = this.done.filter((each) => each.item.number !== act.number);
    this.queue = [];
    this.exhausted = false;
    this.load();
  }

  toggleSure() {
    if (this.sureButton.hidden) return;
    this.sure = !this.sure;
    this.sureButton.setAttribute("aria-pressed", String(this.sure));
    this.shown = null;
    const since = this.since;
    this.show();
    this.since = since;
  }

  key(event) {
    const target = event.composedPath()[0];
    const inside = event.composedPath().includes(this.root);
    if ((!inside && target !== document.body) || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName ?? "")) return;
    const pressed = target.tagName === "BUTTON" && (event.key === " " || event.key === "Enter");
    const undo = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && !event.shiftKey;
    let act = null;
    if (undo) act = () => this.undo();
    else if (event.ctrlKey || event.metaKey || event.altKey || pressed) return;
    else if (CHOICES[event.key] && this.item) act = () => this.choose(CHOICES[event.key]);
    else if (SCROLL[event.key] && this.item) act = () => this.scroll(SCROLL[event.key]);
    else if (event.key.toLowerCase() === "c" && this.item) act = () => this.toggleSure();
    else if (event.key === "Enter" && !this.item) act = () => this.results?.click();
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    // A key that is held down must not judge item after item.
    if (!event.repeat || SCROLL[event.key]) act();
  }

  scroll(by) {
    for (const box of [this.query, this.sides.left.text, this.sides.right.text]) box.scrollBy({ top: by });
  }

  close() {
    this.stop.abort();
    clearTimeout(this.again);
    this.acts.close();
  }
}

export default function (component) {
  const root = component.parentElement.querySelector(".root");
  // Streamlit calls this again on every rerun; the judge goes on where they are.
  if (root.duel && root.duel.data.duel === component.data.duel) root.duel.component = component;
  else {
    root.duel?.close();
    root.duel = new Duel(root, component);
  }
  return () => {
    root.duel?.close();
    root.duel = null;
  };
}
