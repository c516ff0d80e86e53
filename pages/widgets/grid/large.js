// One image large: zoom, pan, its facts and history. In focus mode it is the place to label for hours:
// the next image is loaded already, a label leads on, and a counter keeps the pace.
const ZOOM = [1, 16];
const PAUSE_MS = 60000;
const SESSION_MS = 3600000; // after so long a new session begins

class Large {
  constructor(grid, index, focus) {
    this.grid = grid;
    this.focus = focus;
    this.index = index;
    this.sessionKey = `veritrain.session.${grid.data.theme}.${grid.data.me.id}`;
    const kept = grid.outbox.read(sessionStorage, this.sessionKey);
    this.session = grid.session ??= kept && Date.now() - kept.last < SESSION_MS ? kept : { labels: 0, timed: 0, streak: 0, worked: 0, last: 0 };
    this.build();
    grid.root.append(this.dialog);
    this.dialog.showModal();
    this.stage.focus();
    this.show();
  }

  build() {
    const t = this.grid.data.text;
    this.picture = element("img", { alt: "", draggable: "false" });
    this.stage = element("div", { class: "stage", tabindex: "0", role: "group", "data-testid": "stage", "aria-label": t.images }, this.picture);
    this.title = element("h3", { class: "title", "aria-live": "polite" });
    this.facts = element("dl");
    this.history = element("ol", { class: "history" });
    this.suggestion = element("p", { class: "note" });
    this.counter = element("p", { class: "note", "data-testid": "session" });
    this.labels = new Palette((labelId) => this.label(labelId));
    this.labels.onLeave = () => this.stage.focus();
    this.labels.build(this.grid.data);
    this.labels.count(this.grid.counts);
    const button = (text, title, onclick, testid, main = false) =>
      element("button", { type: "button", text, title, onclick, "data-testid": testid, class: main ? "main" : "" });
    this.marker = element("span", { class: "marker", role: "status" });
    this.dialog = element("dialog", { class: this.focus ? "wide focus" : "wide", "aria-label": t.images, "data-testid": this.focus ? "focus" : "large" },
      element("div", { class: "large" }, this.stage,
        element("div", { class: "side" }, this.title, this.counter, this.labels.box, this.suggestion, this.facts, this.history)),
      element("div", { class: "actions" }, this.marker, element("span", { class: "grow" }),
        button(t.similar, t.similar_help, () => this.similar(), "large-similar"),
        button(t.previous, t.previous_help, () => this.step(-1), "large-previous"),
        button(t.next, t.next_help, () => this.step(1), "large-next"),
        button(t.close, t.close_help, () => this.close(), "large-close", true)));
    this.dialog.addEventListener("cancel", (event) => { event.preventDefault(); this.close(); });
    this.dialog.addEventListener("keydown", (event) => this.key(event));
    this.stage.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomBy(event.deltaY < 0 ? 1.25 : 0.8, event);
    }, { passive: false });
    this.stage.addEventListener("dblclick", (event) => this.zoomBy(this.scale > 1 ? 1 / this.scale : 4, event));
    this.stage.addEventListener("pointerdown", (event) => this.pan(event));
  }

  get item() { return this.grid.rows.at(this.index); }

  show() {
    const { grid } = this;
    const { rows } = grid;
    const t = grid.data.text;
    rows.need(this.index - 1, this.index + 3);
    const item = this.item;
    this.left = false;
    this.scale = 1;
    this.offset = [0, 0];
    this.place();
    if (!item || item.gone) {
      this.picture.removeAttribute("src");
      this.title.textContent = item ? t.gone : t.loading;
      this.facts.replaceChildren();
      this.history.replaceChildren();
      return;
    }
    if (this.shownId !== item.id) {
      this.shownId = item.id;
      this.picture.src = item.full;
      this.history.replaceChildren();
      this.loadHistory(item.id);
    }
    this.picture.alt = item.file_name;
    this.picture.classList.toggle("tiny", Math.max(item.width, item.height) <= 128);
    for (const near of [1, 2, -1]) {
      const other = rows.at(this.index + near);
      if (other?.full) new Image().src = other.full;
    }
    this.drawFacts(item);
    this.drawSession();
  }

  drawFacts(item) {
    const { grid } = this;
    const t = grid.data.text;
    const label = grid.labels.get(grid.labelOf(item));
    const moment = (at, who) => (at ? fill(t.by, { when: new Date(at).toLocaleString(), who: who ?? "–" }) : "–");
    const count = fill(t.place, { n: (this.index + 1).toLocaleString(), total: grid.rows.length.toLocaleString() });
    this.title.replaceChildren(...(label ? [dotOf(label)] : []), element("span", { text: label ? label.name : t.unlabelled_badge }),
      element("span", { class: "n", text: count }));
    for (const chip of this.labels.box.querySelectorAll("[data-label]")) chip.setAttribute("aria-pressed", String(label && Number(chip.dataset.label) === label.id));
    this.suggestion.textContent = grid.suggestionText(item);
    this.suggestion.hidden = !this.suggestion.textContent;
    const rows = [
      [t.file, item.file_name],
      ...(item.flag_note !== null ? [[t.flag, item.flag_note || t.flagged_yes]] : []),
      [t.split, item.split ? t[item.split] : t.none],
      [t.size, `${item.width} × ${item.height} px, ${(item.size / 1024).toFixed(1)} KB, ${item.format}`],
      [t.uploaded, moment(item.created_at, item.uploaded_by)], [t.labelled_by, moment(item.labeled_at, item.labeled_by)],
    ];
    this.facts.replaceChildren(...rows.flatMap(([name, value]) => [element("dt", { text: name }), element("dd", { text: value })]));
  }

  async loadHistory(id) {
    const t = this.grid.data.text;
    try {
      const answer = await answerOf(`/api/theme/${this.grid.data.theme}/images/${id}/`);
      const { history } = await answer.json();
      if (id !== this.shownId) return;
      this.history.replaceChildren(...history.slice(-8).map((each) => element("li", {
        text: fill(t.history_line, { when: new Date(each.at).toLocaleString(), who: each.user ?? "–", before: each.before ?? "–", after: each.after ?? "–" }),
      })));
    } catch { /* the image is there without its history */ }
  }

  drawSession() {
    const t = this.grid.data.text;
    const { labels, timed, worked, streak } = this.session;
    const hours = worked / 3_600_000;
    this.grid.outbox.write(sessionStorage, this.sessionKey, this.session);
    this.counter.hidden = !this.focus;
    this.counter.textContent = fill(t.session, {
      labels, pace: hours > 1 / 120 ? Math.round(timed / hours) : "–", streak, remaining: this.grid.counts.unlabelled.toLocaleString(),
    });
  }

  // --- labelling --------------------------------------------------------------

  label(labelId) {
    const item = this.item;
    if (!item || item.gone || !this.grid.data.may_label || this.grid.deciding) return;
    if (labelId === this.grid.labelOf(item) && this.grid.mayCallFine(item)) { this.grid.callFine([item.id]); return; }
    if (this.grid.apply([item.id], labelId, "hand") && labelId !== null) this.tick();
    if (this.focus && labelId !== null) this.onward();
    else this.show();
  }

  tick() {
    const now = Date.now();
    const since = now - this.session.last;
    if (this.session.last && since < PAUSE_MS) {
      this.session.worked += since;
      this.session.timed += 1;
      this.session.streak += 1;
    } else this.session.streak = 1;
    this.session.last = now;
    this.session.labels += 1;
  }

  // Shows what an undo or redo changed, and by how many labels there are more.
  tookBack(gained, index) {
    this.session.labels = Math.max(0, this.session.labels + gained);
    if (index >= 0) this.index = index;
    this.show();
  }

  // The image left the list; the next one has taken its place.
  replaced() {
    this.index = Math.min(this.index, this.grid.rows.length - 1);
    if (this.index < 0) this.close();
    else this.show();
  }

  // To the next image without a label; where the next rows that are here are none, to the next image.
  onward() {
    this.step(Math.max(1, this.grid.nextUnlabelled(this.index + 1) - this.index));
  }

  step(by) {
    const target = this.index + by;
    if (target < 0 || target >= this.grid.rows.length) {
      this.marker.textContent = by > 0 ? this.grid.data.text.last_image : this.grid.data.text.first_image;
      return;
    }
    this.marker.textContent = "";
    this.index = target;
    this.show();
  }

  similar() {
    const item = this.item;
    this.close();
    if (item) this.grid.findSimilar(item.id);
  }

  key(event) {
    if (event.target.tagName === "INPUT") return;
    const { key } = event;
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    const does = {
      ArrowRight: () => this.step(1), ArrowLeft: () => this.step(-1), PageDown: () => this.step(1), PageUp: () => this.step(-1),
      "+": () => this.zoomBy(1.25), "-": () => this.zoomBy(0.8),
      "=": () => this.zoomBy(1 / this.scale), s: () => this.step(1),
    }[key.length === 1 ? key.toLowerCase() : key];
    event.stopPropagation();
    if (plain && does) { event.preventDefault(); does(); return; }
    this.grid.select(this.item && !this.item.gone ? [this.item.id] : [], this.index);
    if (this.grid.labelKey(event, (labelId) => this.label(labelId))) this.show();
  }

  // --- zoom and pan -----------------------------------------------------------

  zoomBy(factor, event = null) {
    const before = this.scale;
    this.scale = Math.min(Math.max(ZOOM[0], this.scale * factor), ZOOM[1]);
    if (event) {
      const box = this.stage.getBoundingClientRect();
      const from = [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
      this.offset = this.offset.map((part, n) => from[n] - (from[n] - part) * (this.scale / before));
    }
    if (this.scale === 1) this.offset = [0, 0];
    this.place();
  }

  pan(event) {
    if (this.scale === 1) return;
    const start = [event.clientX - this.offset[0], event.clientY - this.offset[1]];
    this.stage.setPointerCapture(event.pointerId);
    const move = (e) => { this.offset = [e.clientX - start[0], e.clientY - start[1]]; this.place(); };
    const end = () => this.stage.removeEventListener("pointermove", move);
    this.stage.addEventListener("pointermove", move);
    this.stage.addEventListener("pointerup", end, { once: true });
  }

  place() {
    this.picture.style.transform = this.scale === 1 ? "" : `translate(${this.offset[0]}px, ${this.offset[1]}px) scale(${this.scale})`;
    this.stage.classList.toggle("zoomed", this.scale > 1);
  }

  close() {
    this.dialog.close();
    this.dialog.remove();
    this.grid.large = null;
    this.grid.moveTo(this.index);
    this.grid.scroll.focus();
  }
}
