// The grid of a theme's images: what is selected, what keys do, what others changed. It paints at once;
// the outbox sees to it that every act arrives.
const LIVE_MS = 1500;
const RELOAD_MS = 2000;
const SMALL_THUMB = 165;
const MIN_HEIGHT = 260;
const BELOW = 24; // pixels below the line that names the keys

class Grid extends Acts {
  constructor(root, data, setTriggerValue) {
    super();
    this.root = root;
    this.onStage = (stage) => setTriggerValue("stage", stage);
    this.selected = new Set();
    this.anchor = 0;
    this.at = 0; // position of the tile that keys act on
    this.undoable = [];
    this.redoable = [];
    this.lastLabel = undefined;
    this.lastAct = Date.now();
    this.stop = new AbortController();
    this.data = data;
    this.build();
    this.update(data);
    const kept = this.outbox.read(sessionStorage, this.undoKey) ?? {};
    this.undoable = kept.undo ?? [];
    this.redoable = kept.redo ?? [];
    this.drawSelection();
    const { signal } = this.stop;
    window.addEventListener("resize", () => this.fit(), { signal });
    window.addEventListener("online", () => this.outbox.send(), { signal });
    window.addEventListener("pagehide", () => this.outbox.send(true), { signal });
    document.addEventListener("visibilitychange", () => { this.lastAct = Date.now(); this.live(); }, { signal });
    this.ticking = setInterval(() => this.live(), LIVE_MS);
    this.load();
  }

  // Labels of a day that is over: they are looked at, not changed.
  get past() { return Boolean(this.filters.get("at")); }
  // Images handed to this person alone; labels given to them are answers that others do not see.
  get inBatch() { return Boolean(this.filters.get("batch")) && this.data.may_label; }
  get undoKey() { return `veritrain.undo.${this.data.theme}.${this.data.me.id}`; }

  // --- building -----------------------------------------------------------------

  build() {
    const { theme, me } = this.data;
    this.outbox = null;
    this.filters = new Filters(() => this.load());
    this.palette = new Palette((labelId) => this.give(labelId, "hand"));
    this.palette.onLeave = () => this.scroll.focus();
    this.chosen = element("span", { class: "note", "data-testid": "selected" });
    this.tools = element("span", { class: "bar" });
    this.marker = element("span", { class: "marker", role: "status", "data-testid": "marker" });
    this.message = element("div", { class: "message", "data-testid": "grid-message" });
    this.scroll = element("div", { class: "scroll", tabindex: "0", role: "listbox", "aria-multiselectable": "true", "data-testid": "grid" }, this.message);
    this.hint = element("span", { class: "note" });
    this.help = element("button", { type: "button", class: "chip", "data-testid": "keys", onclick: () => this.showKeys() });
    this.foot = element("div", { class: "bar" }, this.hint, this.help);
    this.spoken = element("span", { class: "sr", "aria-live": "polite" });
    this.rows = new Rows(theme, () => this.tiles.draw());
    if (this.past) this.rows.day = `&at=${encodeURIComponent(this.filters.get("at"))}`;
    this.tiles = new Tiles(this.scroll, this.rows, {
      paint: (tile, index) => this.paint(tile, index),
      drawn: (first, last) => { this.rows.need(first, last); this.rows.trim(first, last); for (const [index, tile] of this.tiles.shown) if (tile.bare && this.rows.at(index)) this.paint(tile, index); },
      band: (indices, add) => this.band(indices, add),
      bandEnded: () => { this.bandBase = null; this.scroll.focus({ preventScroll: true }); },
    });
    this.scroll.addEventListener("keydown", (event) => this.key(event));
    this.scroll.addEventListener("click", (event) => this.click(event));
    this.scroll.addEventListener("dblclick", (event) => { const tile = event.target.closest(".tile"); if (tile) this.open(tile.index, false); });
    this.sizes = element("span");
    this.observer = new ResizeObserver(() => this.fit());
    this.suggestions = new Suggestions(this);
    this.root.replaceChildren(this.filters.bar, this.filters.fields, this.filters.chips, this.suggestions.box, this.palette.box,
      element("div", { class: "bar" }, this.chosen, this.tools, element("span", { class: "grow" }), this.marker, this.sizes),
      this.scroll, this.foot, this.spoken);
    for (const box of this.root.children) if (box !== this.scroll) this.observer.observe(box);
    this.outbox = new Outbox(theme, me.id, {
      state: (state, n) => this.say(state, n),
      refused: (action, reason) => this.refused(action, reason),
      done: (batch) => this.confirmed(batch),
      recovered: (n) => { this.recovered = n; },
    });
  }

  update(data) {
    const before = this.built;
    this.data = data;
    this.labels = new Map(data.labels.map((label) => [label.id, label]));
    if (!this.counts || this.stamp !== data.stamp) {
      this.counts = structuredClone(data.counts);
      this.total = this.counts.total;
    }
    const made = JSON.stringify([data.labels, data.text, data.may_label, data.people, data.imports]);
    if (made !== before) {
      this.built = made;
      this.hint.textContent = data.may_label ? data.text.hint : data.text.hint_view;
      this.help.replaceChildren(element("kbd", { text: "?" }), element("span", { text: data.text.keys }));
      this.help.hidden = !data.may_label;
      this.scroll.setAttribute("aria-label", data.text.images);
      this.filters.build(data);
      this.palette.build(data);
      this.buildTools();
      this.sizes.replaceChildren(this.filters.size);
      this.filters.size.value = this.outbox.read(localStorage, "veritrain.tiles") ?? "medium";
      this.tiles.setSize(this.filters.size.value);
      this.filters.size.onchange = () => {
        this.outbox.write(localStorage, "veritrain.tiles", this.filters.size.value);
        this.tiles.setSize(this.filters.size.value);
      };
      this.tiles.paint();
    }
    this.suggestions.draw();
    this.drawCounts();
    this.drawSelection();
    this.stage = this.stageOf(data.counts);
    requestAnimationFrame(() => this.fit());
    if (this.stamp !== undefined && this.stamp !== data.stamp) this.load();
    this.stamp = data.stamp;
  }

  // The grid ends where the window ends, whatever stands above it, so that nobody scrolls twice.
  fit() {
    const page = this.root.getRootNode().host?.closest("[data-testid=stMain]");
    if (!page || !this.root.isConnected) return;
    const above = this.scroll.getBoundingClientRect().top - page.getBoundingClientRect().top + page.scrollTop;
    const height = Math.max(MIN_HEIGHT, page.clientHeight - above - this.foot.offsetHeight - BELOW);
    if (this.scroll.style.height !== `${height}px`) this.scroll.style.height = `${height}px`;
  }

  // What the sentence about the next step depends on; the page is drawn again when it changes.
  stageOf({ by_label, unlabelled }) {
    const most = Object.values(by_label).sort((a, b) => b - a);
    return `${most[1] > 0} ${most[1] >= this.data.enough} ${unlabelled > 0}`;
  }

  tellStage() {
    if (this.stageOf(this.counts) === this.stage || this.outbox.waiting.length) return;
    this.stage = this.stageOf(this.counts);
    this.onStage(this.stage);
  }

  buildTools() {
    const t = this.data.text;
    const tool = (name, key, does, always = false) => {
      const made = element("button", { type: "button", "data-testid": name, title: t[`${name}_help`], onclick: does },
        element("span", { text: t[name] }), ...(key ? [element("kbd", { text: key })] : []));
      made.always = always;
      return made;
    };
    const tools = [tool("focus", null, async () => this.open(await this.seekUnlabelled(this.at), true), true)];
    tools.push(tool("review", null, () => this.filters.set({ sort: "suspicious" }), true));
    tools.push(tool("similar", "M", () => this.findSimilar(this.rows.ids[this.at])));
    if (this.data.may_label) {
      tools.splice(1, 0, tool("my_batch", null, () => this.nextBatch(), true));
      tools.push(tool("flag", "F", () => this.flag()));
      tools.push(tool("likelier", "A", () => this.takeLikelier()));
      tools.push(tool("fine", null, () => this.callFine()));
      tools.push(tool("delete", null, () => this.askDelete()));
      tools.push(tool("undo", null, () => this.undo(), true), tool("redo", null, () => this.redo(), true));
    }
    this.fresh = element("button", { type: "button", class: "fresh", hidden: "", "data-testid": "fresh", onclick: () => this.load() });
    this.tools.replaceChildren(...tools, this.fresh);
  }

  drawCounts() {
    this.root.classList.toggle("nothing", !this.counts.total); // the first thing to see is where images go
    this.filters.count(this.counts);
    this.palette.count(this.counts);
    this.large?.labels.count(this.counts);
  }

  drawSelection() {
    const n = this.selected.size;
    this.chosen.textContent = fill(n ? this.data.text.selected : this.data.text.shown, { n: (n || this.rows.length).toLocaleString() });
    for (const tool of this.tools.children) if (tool !== this.fresh) tool.hidden = !(n || tool.always);
    const review = !this.past && this.filters.get("label") && this.filters.sort !== "suspicious" && this.suggestions.state?.n_suggested;
    this.tools.querySelector("[data-testid=review]").hidden = !review;
    for (const [name, kinds] of [["likelier", this.data.of_labels], ["fine", this.data.may_call_fine]]) {
      const tool = this.tools.querySelector(`[data-testid=${name}]`);
      if (tool) tool.hidden = !n || !kinds.includes(this.filters.get("finding"));
    }
    this.tools.querySelector("[data-testid=my_batch]")?.toggleAttribute("hidden", Boolean(this.filters.get("finding"))); // room for its answers
    this.tools.querySelector("[data-testid=undo]")?.toggleAttribute("disabled", !this.undoable.length);
    this.tools.querySelector("[data-testid=redo]")?.toggleAttribute("disabled", !this.redoable.length);
    this.tools.querySelector("[data-testid=focus]").toggleAttribute("disabled", !this.rows.length);
  }

  // --- loading ------------------------------------------------------------------

  async load() {
    const t = this.data.text;
    this.selected.clear();
    this.at = this.anchor = 0;
    this.fresh.hidden = true;
    this.message.hidden = false;
    this.message.textContent = t.loading;
    this.rows.take(new Uint32Array());
    this.rows.items.clear();
    this.tiles.position = 0;
    this.tiles.clear();
    this.tiles.layout();
    clearTimeout(this.again);
    this.suggestions.draw();
    const query = this.filters.query();
    try {
      if (this.inBatch) await this.rows.loadBatch();
      else await this.rows.load(query, this.filters.sort === "newest");
    } catch (error) {
      if (error.name === "AbortError") return;
      this.message.textContent = error instanceof Refused ? error.message : t.load_failed;
      if (!(error instanceof Refused)) this.again = setTimeout(() => this.load(), RELOAD_MS);
      return;
    }
    this.message.hidden = this.rows.length > 0;
    this.message.textContent = this.inBatch ? t.batch_empty : this.filters.narrows ? t.empty_filter : t.empty;
    this.tiles.resize();
    this.drawSelection();
    this.drawActive();
  }

  // The rows that are shown, as the server has them now.
  reloadRows() {
    this.rows.items.clear();
    this.rows.asked.clear();
    this.tiles.stale();
    this.tiles.draw();
    this.drawCounts();
    this.drawSelection();
  }

  // --- painting -----------------------------------------------------------------

  labelOf(item) {
    const waits = this.outbox.pending(item.id);
    return waits === undefined ? item.label_id : waits;
  }

  suggestionText(item) {
    const likelier = this.likelier(item);
    if (likelier) return fill(this.data.text.likelier_is, { label: likelier.name });
    const label = this.labels.get(item.suggested_label_id);
    if (!label || item.audit || this.inBatch || this.labelOf(item) !== null) return "";
    return fill(this.data.text.suggestion, { label: label.name, percent: Math.round(item.suggested_confidence * 100) });
  }

  paint(tile, index) {
    const t = this.data.text;
    const item = this.rows.at(index);
    const [image, , badge, flag, foot] = tile.children;
    const [dot, name, number] = foot.children;
    tile.setAttribute("aria-selected", String(this.selected.has(tile.imageId)));
    tile.classList.toggle("active", index === this.at);
    tile.bare = !item;
    tile.classList.toggle("bare", tile.bare);
    if (!item || item.gone) {
      name.textContent = item ? t.gone : "";
      tile.setAttribute("aria-label", item ? t.gone : t.loading);
      return;
    }
    const label = this.labels.get(this.labelOf(item));
    const guess = label || item.audit || this.inBatch ? null : this.labels.get(item.suggested_label_id);
    if (!image.hasAttribute("src") && !this.tiles.flying) {
      // The browser keeps a thousand decoded pictures, so none is larger than its tile needs.
      image.src = this.tiles.width * devicePixelRatio <= SMALL_THUMB ? item.small : item.thumb;
      image.classList.toggle("tiny", Math.max(item.width, item.height) <= 64);
    } else if (!image.hasAttribute("src")) tile.bare = true;
    tile.title = item.file_name;
    tile.classList.toggle("guess", Boolean(guess));
    dot.style.background = (label ?? guess)?.color ?? "transparent";
    dot.hidden = !(label ?? guess);
    name.textContent = label ? label.name : guess ? `${guess.name}?` : t.unlabelled_badge;
    name.classList.toggle("none", !label);
    const doubts = this.filters.sort === "suspicious" || this.data.of_labels.includes(this.filters.get("finding"));
    const likelier = doubts && this.likelier(item);
    const other = likelier || (label && this.filters.sort === "suspicious" && item.suggested_label_id !== label.id && this.labels.get(item.suggested_label_id));
    number.textContent = guess ? `${Math.round(item.suggested_confidence * 100)} %` : other ? `${other.name}?` : "";
    number.title = likelier ? fill(t.likelier_is, { label: likelier.name })
      : other ? fill(t.suggestion, { label: other.name, percent: Math.round(item.suggested_confidence * 100) }) : "";
    badge.textContent = item.split ? t[item.split] : "";
    badge.hidden = !item.split;
    flag.hidden = item.flag_note === null;
    flag.title = item.flag_note ?? "";
    tile.setAttribute("aria-label", [item.file_name, label ? label.name : guess ? fill(t.suggestion, { label: guess.name, percent: number.textContent }) : t.unlabelled_badge, likelier ? number.title : "",
      item.split ? t[item.split] : "", item.flag_note !== null ? t.flagged_yes : ""].filter(Boolean).join(", "));
  }

  drawActive() {
    const id = this.rows.ids[this.at];
    for (const [index, tile] of this.tiles.shown) tile.classList.toggle("active", index === this.at);
    if (id === undefined) this.scroll.removeAttribute("aria-activedescendant");
    else this.scroll.setAttribute("aria-activedescendant", `tile-${id}`);
  }

  say(state, n) {
    const t = this.data.text;
    const text = { saving: t.saving, saved: t.saved, offline: fill(t.offline, { n }), signed_out: fill(t.signed_out, { n }) }[state];
    this.marker.textContent = state === "saving" && this.recovered ? fill(t.recovered, { n: this.recovered }) : text;
    if (state === "saved" && this.recovered) {
      this.marker.textContent = fill(t.recovered_saved, { n: this.recovered });
      this.recovered = 0;
    }
    this.marker.dataset.state = state;
    this.marker.classList.toggle("bad", state === "offline" || state === "signed_out");
    if (this.large) this.large.marker.textContent = state === "saved" ? "" : this.marker.textContent;
  }

  // --- selecting ----------------------------------------------------------------

  select(ids, at = null) {
    const before = this.selected;
    this.selected = new Set(ids);
    if (at !== null) this.at = at;
    this.tiles.paint(new Set([...before, ...this.selected]));
    this.drawSelection();
    this.drawActive();
  }

  // All images of the filter, also while only the first page of them is here.
  async selectAll() {
    const asked = this.rows.whole;
    await asked;
    if (asked === this.rows.whole) this.select(this.rows.ids);
  }

  moveTo(index) {
    if (!this.rows.length) return;
    const target = Math.min(Math.max(index, 0), this.rows.length - 1);
    this.anchor = target;
    this.select(this.filters.sort === "sweep" ? this.rowOf(target) : [this.rows.ids[target]], target);
    this.tiles.show(target);
  }

  range(from, to) {
    return this.rows.ids.subarray(Math.min(from, to), Math.max(from, to) + 1);
  }

  // In a sweep the unit is the row: its images without a label, but for those that are judged one by one.
  rowOf(index) {
    const { columns } = this.tiles;
    const start = Math.floor(index / columns) * columns;
    const row = [...this.range(start, Math.min(start + columns, this.rows.length) - 1)];
    const open = row.filter((id) => { const item = this.rows.items.get(id); return this.isUnlabelled(item) && !item.audit; });
    return open.length ? open : [this.rows.ids[index]];
  }

  click(event) {
    const tile = event.target.closest(".tile");
    this.scroll.focus({ preventScroll: true });
    if (this.tiles.justBanded) return;
    if (!tile) { this.select([]); return; }
    const { index, imageId } = tile;
    if (event.shiftKey) this.select(this.range(this.anchor, index), index);
    else if (event.ctrlKey || event.metaKey) this.toggle(index);
    else { this.anchor = index; this.select([imageId], index); }
  }

  toggle(index) {
    const chosen = new Set(this.selected);
    const id = this.rows.ids[index];
    if (!chosen.delete(id)) chosen.add(id);
    this.anchor = index;
    this.select(chosen, index);
  }

  band(indices, add) {
    this.bandBase ??= add ? new Set(this.selected) : new Set();
    const ids = indices.map((index) => this.rows.ids[index]);
    this.select([...this.bandBase, ...ids], indices.at(0) ?? this.at);
  }

  key(event) {
    if (!this.rows.length || event.target !== this.scroll) return;
    const { columns } = this.tiles;
    const page = Math.max(1, Math.floor(this.tiles.window / this.tiles.rowHeight)) * columns;
    const moves = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, PageDown: page, PageUp: -page, Home: -this.at, End: this.rows.length - 1 - this.at };
    const command = event.ctrlKey || event.metaKey;
    if (event.key in moves && !event.altKey) {
      event.preventDefault();
      const target = Math.min(Math.max(this.at + moves[event.key], 0), this.rows.length - 1);
      if (event.shiftKey) { this.select(this.range(this.anchor, target), target); this.tiles.show(target); }
      else this.moveTo(!this.selected.size && this.at === 0 && !event.key.startsWith("Page") ? 0 : target);
    } else if (event.key === " ") { event.preventDefault(); this.toggle(this.at); }
    else if (event.key === "Enter") { event.preventDefault(); this.open(this.at, false); }
    else if (command && event.key.toLowerCase() === "a") { event.preventDefault(); this.selectAll(); }
    else if (event.key === "Escape") this.select([]);
    else if (event.key === "Delete" && this.data.may_label) { event.preventDefault(); this.askDelete(); }
    else if (!command && !event.altKey && event.key.toLowerCase() === "m") { event.preventDefault(); this.findSimilar(this.rows.ids[this.at]); }
    else if (!command && !event.altKey && event.key.toLowerCase() === "s") { event.preventDefault(); this.skip(); }
    else this.labelKey(event, (labelId) => this.give(labelId, this.filters.sort === "sweep" ? "sweep" : "hand"));
  }

  // To all that is selected. The label that a doubted image has already says that it is right.
  give(labelId, source) {
    if (this.deciding) return; // the next image is not there yet
    const ids = [...this.selected];
    const item = ids.length === 1 && this.rows.items.get(ids[0]);
    if (item && labelId === this.labelOf(item) && this.mayCallFine(item)) { this.callFine(); return; }
    this.apply(ids, labelId, source);
    this.afterLabel();
  }

  // Keys that work in the grid and on a large image. True where the key was one of them.
  labelKey(event, give) {
    if (!this.data.may_label || event.altKey) return false;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const command = event.ctrlKey || event.metaKey;
    let act = null;
    if (command && key === "z") act = () => (event.shiftKey ? this.redo() : this.undo());
    else if (command && key === "y") act = () => this.redo();
    else if (command) return false;
    else if (KEYS.includes(key)) { const label = this.data.labels[KEYS.indexOf(key)]; if (label) act = () => give(label.id); }
    else if (key === "u") act = () => give(null);
    else if (key === ".") act = () => { if (this.lastLabel !== undefined) give(this.lastLabel); };
    else if (key === "a") act = () => this.acceptSuggestion(give);
    else if (key === "f") act = () => this.flag();
    else if (key === "?") act = () => this.showKeys();
    else if (key === "/") act = () => (this.large?.labels ?? this.palette).input?.focus();
    if (!act) return false;
    event.preventDefault();
    act();
    return true;
  }

  // --- flags, deleting, similar, large ------------------------------------------

  flag() {
    const ids = [...this.selected];
    if (!ids.length || !this.data.may_label) return;
    const t = this.data.text;
    const items = ids.map((id) => this.rows.items.get(id)).filter((item) => item && !item.gone);
    const send = (note) => {
      for (const item of items) item.flag_note = note;
      this.outbox.add({ id: newId(), changes: [], notes: ids.map((id) => [id, note]), undo: null, seconds: null, source: "hand", paint: [] });
      this.tiles.paint(new Set(ids));
      this.large?.show();
    };
    if (items.length && items.every((item) => item.flag_note !== null)) { send(null); return; }
    const note = element("textarea", { rows: 3, maxlength: 500, "aria-label": t.note, placeholder: t.note, "data-testid": "note" });
    const dialog = this.ask(fill(t.flag_ask, { n: ids.length }), t.flag, () => send(note.value.trim()), note);
    note.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); dialog.yes(); }
    });
    note.focus();
  }

  ask(question, yes, does, ...more) {
    const t = this.data.text;
    const back = this.large ? this.large.stage : this.scroll;
    const dialog = element("dialog", { class: "ask", "aria-label": yes });
    const close = () => { dialog.close(); dialog.remove(); back.focus({ preventScroll: true }); };
    dialog.yes = () => { close(); does(); };
    dialog.append(element("p", { text: question }), ...more, element("div", { class: "actions" },
      element("button", { type: "button", text: t.cancel, onclick: close }),
      element("button", { type: "button", class: "main", text: yes, "data-testid": "yes", onclick: dialog.yes })));
    dialog.addEventListener("cancel", (event) => { event.preventDefault(); close(); });
    dialog.addEventListener("keydown", (event) => event.stopPropagation());
    this.root.append(dialog);
    dialog.showModal();
    return dialog;
  }

  showKeys() {
    const t = this.data.text;
    const rows = Object.entries(t.key_rows).flatMap(([keys, does]) => [element("dt", {}, ...keys.split(" ").map((key) => element("kbd", { text: key }))), element("dd", { text: does })]);
    const dialog = this.ask(t.keys_all, t.close, () => {}, element("dl", { class: "keys" }, ...rows));
    dialog.querySelector(".actions button").remove(); // nothing to cancel
    dialog.querySelector("[data-testid=yes]").focus();
  }

  askDelete() {
    const ids = [...this.selected];
    const t = this.data.text;
    if (ids.length) this.ask(fill(t.delete_ask, { n: ids.length.toLocaleString() }), t.yes_delete, () => this.delete(ids));
  }

  async delete(ids) {
    await this.takeOff(ids, "images/delete", {}, (answer) => {
      this.counts = answer.statistics;
      this.total = this.counts.total;
    });
  }

  async post(path, body) {
    const answer = await answerOf(`/api/theme/${this.data.theme}/${path}/`, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    });
    return answer.json();
  }

  // The same about many images, part by part; `take` gets each answer and its part.
  async postParts(path, ids, extra, take = () => {}) {
    for (let from = 0; from < ids.length; from += ACT_IMAGES) {
      const part = ids.slice(from, from + ACT_IMAGES);
      take(await this.post(path, { ids: part, ...extra }), part);
    }
  }

  failed(error) {
    this.tell(error instanceof Refused ? fill(this.data.text.refused, { reason: error.message }) : this.data.text.no_connection);
  }

  // A sentence about what went wrong, or was left.
  tell(text) {
    this.marker.textContent = text;
    this.marker.classList.add("bad");
  }

  // Sends a request about images, after which they are not shown any more.
  async takeOff(ids, path, extra, take = () => {}) {
    try {
      await this.postParts(path, ids, extra, (answer, part) => { take(answer); this.rows.remove(part); });
    } catch (error) {
      this.failed(error);
    }
    this.message.hidden = this.rows.length > 0;
    this.tiles.clear();
    this.tiles.resize();
    this.drawCounts();
    this.select([], Math.min(this.at, Math.max(0, this.rows.length - 1)));
    this.scroll.focus({ preventScroll: true });
  }

  // Takes the next images once the last ones are answered and saved.
  nextBatch() {
    if (this.inBatch) this.load();
    else this.filters.set({ ...Object.fromEntries(FILTER_NAMES.map((name) => [name, ""])), batch: "mine" });
  }

  findSimilar(id) {
    if (id !== undefined) this.filters.set({ state: "", label: "", batch: "", sort: "similar", like: id });
  }

  open(index, focus) {
    if (!this.rows.length) return;
    this.at = Math.min(Math.max(index, 0), this.rows.length - 1);
    this.large = new Large(this, this.at, focus);
  }

  // --- what others do -----------------------------------------------------------

  async live() {
    if (document.hidden || this.past || this.asking || this.stop.signal.aborted) return;
    this.asking = true;
    const query = new URLSearchParams(this.last === undefined ? {} : { after: this.last });
    if (this.total !== null && this.last !== undefined) query.set("total", this.total ?? this.counts.total);
    try {
      const answer = await answerOf(`/api/theme/${this.data.theme}/label/changes/?${query}`, { signal: this.stop.signal });
      this.others(await answer.json());
    } catch { /* the marker tells of a lost connection when there is something to send */ }
    this.asking = false;
  }

  others(news) {
    const first = this.last === undefined;
    this.last = news.last;
    const painted = new Set();
    for (const each of news.items) {
      const item = this.rows.items.get(each.image_id);
      if (!item || this.outbox.pending(item.id) !== undefined || item.label_id === each.label_id) continue;
      Object.assign(item, { label_id: each.label_id, labeled_by: each.by, labeled_at: each.at });
      painted.add(item.id);
    }
    if (news.reload) this.reloadRows();
    if (painted.size) {
      this.tiles.paint(painted);
      for (const tile of this.tiles.shown.values()) if (painted.has(tile.imageId)) tile.animate([{ outline: "3px solid currentColor" }, { outline: "3px solid transparent" }], 900);
    }
    if (!news.statistics || this.outbox.waiting.length) return;
    const more = news.statistics.total - (this.total ?? this.counts.total);
    this.counts = news.statistics;
    this.total = news.statistics.total;
    this.drawCounts();
    this.tellStage();
    if (!first && more > 0) {
      this.fresh.textContent = fill(this.data.text.fresh, { n: more });
      this.fresh.hidden = false;
    }
  }

  close() {
    clearInterval(this.ticking);
    this.observer.disconnect();
    clearTimeout(this.again);
    clearTimeout(this.suggestions.timer);
    this.stop.abort();
    this.outbox.close();
    this.rows.close();
    this.tiles.close();
    this.large?.dialog.remove();
  }
}

export default function (component) {
  const { data, parentElement } = component;
  const root = parentElement.querySelector(".root");
  // Streamlit calls this again on every rerun; the grid lives on and takes over what changed.
  if (root.grid && root.grid.data.theme === data.theme) root.grid.update(data);
  else {
    root.grid?.close();
    root.grid = new Grid(root, data, component.setTriggerValue);
  }
  return () => {
    root.grid?.close();
    root.grid = null;
  };
}
