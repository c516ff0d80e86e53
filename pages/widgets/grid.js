// The grid of a theme's images. It keeps at most MAX_TILES of them, asks /api for the rest as one
// scrolls, paints labels at once and sends them in batches that are tried again until they are saved.
const PAGE = 200;
const MAX_TILES = 1000;
const SEND_AFTER_MS = 120;
const RETRY_MS = 2000;

class Grid {
  constructor(root, data) {
    this.root = root;
    this.items = [];
    this.byId = new Map();
    this.tiles = new Map();
    this.selected = new Set();
    this.anchor = null;
    this.focused = null;
    this.pending = new Map(); // image id → label id, what waits to be sent
    this.sending = false;
    this.generation = 0;
    this.stop = new AbortController();
    this.filter = this.readFilter();
    this.build(data);
    this.update(data);
    this.reload();
    window.addEventListener("beforeunload", (event) => {
      if (this.pending.size || this.sending) event.preventDefault();
    }, { signal: this.stop.signal });
    // A page that goes away hands over what waits; the browser finishes the request without it.
    window.addEventListener("pagehide", () => { this.sending = false; this.send(); }, { signal: this.stop.signal });
    window.addEventListener("online", () => this.send(), { signal: this.stop.signal });
  }

  // --- building -------------------------------------------------------------

  build(data) {
    const t = data.text;
    this.states = element("div", { class: "bar", role: "group", "aria-label": t.filter_state });
    this.labelFilter = element("select", { "aria-label": t.filter_label, onchange: () => this.setFilter("label", this.labelFilter.value) });
    this.splitFilter = element("select", { "aria-label": t.filter_split, onchange: () => this.setFilter("split", this.splitFilter.value) });
    this.splitCounts = element("span", { class: "note", "data-testid": "split-counts" });
    this.palette = element("div", { class: "bar", role: "group", "aria-label": t.palette, "data-testid": "palette" });
    this.hint = element("p", { class: "note" });
    this.marker = element("span", { class: "marker", role: "status", "data-testid": "marker" });
    this.chosen = element("span", { class: "note", "data-testid": "selected" });
    this.remove = element("button", { type: "button", "data-testid": "delete", onclick: () => this.askDelete() });
    this.box = element("div", { class: "tiles", role: "grid", "aria-label": t.images, "aria-multiselectable": "true", tabindex: "-1" });
    this.message = element("div", { class: "message", "data-testid": "grid-message" });
    this.scroll = element("div", { class: "scroll" }, this.box, this.message);
    this.scroll.addEventListener("scroll", () => this.onScroll());
    this.box.addEventListener("keydown", (event) => this.onKey(event));
    this.box.addEventListener("click", (event) => this.onClick(event));
    this.box.addEventListener("dblclick", (event) => {
      const tile = event.target.closest(".tile");
      if (tile) this.showLarge(Number(tile.dataset.id));
    });
    this.live = element("span", { class: "sr", "aria-live": "polite" });
    this.root.replaceChildren(
      element("div", { class: "bar" }, this.states, this.labelFilter, this.splitFilter, element("span", { class: "grow" }), this.splitCounts),
      this.palette,
      element("div", { class: "bar" }, this.chosen, this.remove, element("span", { class: "grow" }), this.marker),
      this.scroll, this.hint, this.live,
    );
  }

  update(data) {
    const before = this.data;
    this.data = data;
    this.labels = new Map(data.labels.map((label) => [label.id, label]));
    if (!this.counts || !before || before.stamp !== data.stamp) this.counts = data.counts;
    const t = data.text;
    this.hint.textContent = data.may_label ? t.hint : t.hint_view;
    this.remove.textContent = t.delete;
    this.drawFilters();
    this.drawPalette();
    this.drawSelection();
    for (const id of this.tiles.keys()) this.paint(id);
    if (before && before.stamp !== data.stamp) this.reload();
  }

  // Built once for a set of labels; afterwards only the numbers change, so that a press that is under
  // way when an answer arrives still meets the button it began on.
  drawFilters() {
    const t = this.data.text;
    const splits = ["train", "valid", "test", "none"];
    const option = (value, text) => element("option", { value, text });
    if (this.once("filters")) {
      this.states.replaceChildren(...["all", "unlabelled", "labelled"].map((state) => element("button", {
        type: "button", class: "chip", "data-testid": `state-${state}`, "data-state": state,
        onclick: () => this.setFilter("state", state),
      }, element("span", { text: t[state] }), element("span", { class: "n" }))));
      this.labelFilter.replaceChildren(option("", t.any_label), ...this.data.labels.map((label) => option(String(label.id), "")));
      this.splitFilter.replaceChildren(option("", t.any_split), ...splits.map((split) => option(split, "")));
    }
    const counts = this.counts;
    const numbers = { all: counts.total, unlabelled: counts.unlabelled, labelled: counts.labelled };
    for (const chip of this.states.children) {
      chip.setAttribute("aria-pressed", String(this.filter.state === chip.dataset.state));
      chip.querySelector(".n").textContent = numbers[chip.dataset.state];
    }
    this.data.labels.forEach((label, index) => {
      this.labelFilter.options[index + 1].textContent = `${label.name} (${counts.by_label[label.id] ?? 0})`;
    });
    splits.forEach((split, index) => {
      this.splitFilter.options[index + 1].textContent = `${t[split]} (${counts.by_split[split] ?? 0})`;
    });
    this.labelFilter.value = this.filter.label ?? "";
    this.splitFilter.value = this.filter.split ?? "";
    this.splitCounts.textContent = splits.map((split) => `${t[split]} ${counts.by_split[split] ?? 0}`).join(" · ");
  }

  drawPalette() {
    const t = this.data.text;
    if (!this.data.labels.length) {
      this.palette.replaceChildren(element("p", { class: "note", text: t.no_labels }));
      return;
    }
    if (this.once("palette")) this.palette.replaceChildren(...this.paletteChips());
    for (const chip of this.palette.querySelectorAll("[data-label]")) {
      chip.querySelector(".n").textContent = this.counts.by_label[chip.dataset.label] ?? 0;
    }
  }

  paletteChips() {
    const t = this.data.text;
    const may = this.data.may_label;
    const chips = this.data.labels.map((label, index) => {
      const chip = element("button", {
        type: "button", class: "chip", title: label.name, "data-testid": "palette-label", "data-label": label.id,
        disabled: may ? null : "", onclick: () => this.label(label.id),
      });
      if (may && index < 9) chip.append(element("kbd", { text: index + 1 }));
      const dot = element("span", { class: "dot" });
      dot.style.background = label.color;
      chip.append(dot, element("span", { class: "name", text: label.name }), element("span", { class: "n" }));
      return chip;
    });
    if (may) {
      chips.push(element("button", { type: "button", class: "chip", "data-testid": "palette-clear", onclick: () => this.label(null) },
        element("kbd", { text: "U" }), element("span", { class: "name", text: t.clear })));
    }
    return chips;
  }

  // True when what a part is built from (labels, language, rights) is not what it was built from before.
  once(part) {
    const made = JSON.stringify([this.data.labels, this.data.text.all, this.data.may_label]);
    this.madeFrom ??= {};
    if (this.madeFrom[part] === made) return false;
    this.madeFrom[part] = made;
    return true;
  }

  drawSelection() {
    const n = this.selected.size;
    this.chosen.textContent = n ? fill(this.data.text.selected, { n }) : fill(this.data.text.shown, { n: this.items.length });
    this.remove.hidden = !(this.data.may_label && n);
  }

  // --- loading --------------------------------------------------------------

  readFilter() {
    const query = new URLSearchParams(location.search);
    const state = query.get("state");
    return { state: ["labelled", "unlabelled"].includes(state) ? state : "all", label: query.get("label"), split: query.get("split") };
  }

  setFilter(name, value) {
    this.filter[name] = value || null;
    if (name === "state" && value === "unlabelled") this.filter.label = null;
    if (name === "label" && value && this.filter.state === "unlabelled") this.filter.state = "all";
    const url = new URL(location.href);
    for (const key of ["state", "label", "split"]) {
      const wanted = key === "state" && this.filter.state === "all" ? null : this.filter[key];
      if (wanted) url.searchParams.set(key, wanted);
      else url.searchParams.delete(key);
    }
    history.replaceState(history.state, "", url);
    this.selected.clear();
    this.drawFilters();
    this.drawSelection();
    this.reload();
  }

  reload() {
    this.generation += 1;
    this.items = [];
    this.byId.clear();
    this.tiles.clear();
    this.next = null;
    this.done = false;
    this.loading = false;
    this.box.replaceChildren();
    this.load();
  }

  async load() {
    if (this.loading || this.done) return;
    this.loading = true;
    const generation = this.generation;
    const t = this.data.text;
    if (!this.items.length) this.message.textContent = t.loading;
    const query = new URLSearchParams({ limit: PAGE });
    if (this.filter.state !== "all") query.set("state", this.filter.state);
    if (this.filter.label) query.set("label", this.filter.label);
    if (this.filter.split) query.set("split", this.filter.split);
    if (this.next) query.set("after", this.next);
    let page;
    try {
      const answer = await fetch(`/api/theme/${this.data.theme}/images/?${query}`, { signal: this.stop.signal });
      page = await answer.json();
      if (!answer.ok) throw new Refused(page.detail);
    } catch (error) {
      if (generation !== this.generation || this.stop.signal.aborted) return;
      this.loading = false;
      this.message.hidden = false;
      this.message.textContent = error instanceof Refused ? error.message : t.load_failed;
      if (!(error instanceof Refused)) setTimeout(() => this.load(), RETRY_MS);
      return;
    }
    if (generation !== this.generation) return;
    this.loading = false;
    this.next = page.next;
    this.done = page.next === null;
    for (const item of page.items) this.add(item);
    this.trim();
    this.message.hidden = this.items.length > 0;
    const filtered = this.filter.state !== "all" || this.filter.label || this.filter.split;
    this.message.textContent = filtered ? t.empty_filter : t.empty;
    this.drawSelection();
    this.onScroll();
  }

  // Rows that are far above are taken out; going back to the top starts again from the newest.
  trim() {
    const extra = this.items.length - MAX_TILES;
    if (extra <= 0) return;
    const columns = Math.max(1, getComputedStyle(this.box).gridTemplateColumns.split(" ").length);
    const gone = this.items.splice(0, Math.ceil(extra / columns) * columns);
    const before = this.scroll.scrollHeight;
    for (const item of gone) {
      this.tiles.get(item.id)?.remove();
      this.tiles.delete(item.id);
      this.byId.delete(item.id);
      this.selected.delete(item.id);
    }
    this.trimmed = true;
    this.scroll.scrollTop -= before - this.scroll.scrollHeight;
  }

  onScroll() {
    const { scrollTop, clientHeight, scrollHeight } = this.scroll;
    if (scrollTop === 0 && this.trimmed) {
      this.trimmed = false;
      this.reload();
      return;
    }
    if (scrollHeight - scrollTop - clientHeight < clientHeight * 1.5) this.load();
  }

  add(item) {
    if (this.byId.has(item.id)) return;
    if (this.pending.has(item.id)) item.label_id = this.pending.get(item.id);
    this.items.push(item);
    this.byId.set(item.id, item);
    const tile = element("div", {
      class: "tile", role: "gridcell", tabindex: this.items.length === 1 ? "0" : "-1", "data-id": item.id, "data-testid": "tile",
      title: item.file_name,
    },
      element("img", { src: item.thumb, alt: item.file_name, loading: "lazy", decoding: "async", draggable: "false" }),
      element("span", { class: "check", text: "✓", "aria-hidden": "true" }),
      element("span", { class: "split" }),
      element("div", { class: "foot" }),
    );
    this.tiles.set(item.id, tile);
    this.box.append(tile);
    this.paint(item.id);
  }

  paint(id) {
    const tile = this.tiles.get(id);
    const item = this.byId.get(id);
    if (!tile || !item) return;
    const t = this.data.text;
    const label = item.label_id === null ? null : this.labels.get(item.label_id);
    tile.setAttribute("aria-selected", String(this.selected.has(id)));
    tile.setAttribute("aria-label", `${item.file_name}, ${label ? label.name : t.unlabelled_badge}${item.split ? `, ${t[item.split]}` : ""}`);
    const split = tile.querySelector(".split");
    split.textContent = item.split ? t[item.split] : "";
    split.hidden = !item.split;
    const foot = tile.querySelector(".foot");
    if (label) {
      const dot = element("span", { class: "dot" });
      dot.style.background = label.color;
      foot.replaceChildren(dot, element("span", { class: "name", text: label.name, title: label.name }));
    } else {
      foot.replaceChildren(element("span", { class: "name none", text: t.unlabelled_badge }));
    }
  }

  // --- selecting ------------------------------------------------------------

  onClick(event) {
    const tile = event.target.closest(".tile");
    if (!tile) return;
    const id = Number(tile.dataset.id);
    if (event.shiftKey && this.anchor !== null) this.selectRange(this.anchor, id);
    else if (event.ctrlKey || event.metaKey) this.toggle(id);
    else this.selectOnly(id);
    this.focus(id);
  }

  selectOnly(id) {
    const before = [...this.selected];
    this.selected = new Set([id]);
    this.anchor = id;
    for (const other of [...before, id]) this.paint(other);
    this.drawSelection();
  }

  toggle(id) {
    if (this.selected.has(id)) this.selected.delete(id);
    else this.selected.add(id);
    this.anchor = id;
    this.paint(id);
    this.drawSelection();
  }

  selectRange(from, to) {
    const index = (id) => this.items.findIndex((item) => item.id === id);
    const [low, high] = [index(from), index(to)].sort((a, b) => a - b);
    const before = [...this.selected];
    this.selected = new Set(this.items.slice(Math.max(low, 0), high + 1).map((item) => item.id));
    for (const id of new Set([...before, ...this.selected])) this.paint(id);
    this.drawSelection();
  }

  focus(id) {
    const tile = this.tiles.get(id);
    if (!tile) return;
    if (this.focused !== null) this.tiles.get(this.focused)?.setAttribute("tabindex", "-1");
    this.focused = id;
    tile.setAttribute("tabindex", "0");
    tile.focus({ preventScroll: true });
    tile.scrollIntoView({ block: "nearest" });
  }

  onKey(event) {
    if (!this.items.length) return;
    const here = this.items.findIndex((item) => item.id === this.focused);
    const columns = Math.max(1, getComputedStyle(this.box).gridTemplateColumns.split(" ").length);
    const moves = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -here, End: this.items.length - 1 - here };
    if (event.key in moves) {
      event.preventDefault();
      const target = this.items[Math.min(Math.max(here + moves[event.key], 0), this.items.length - 1)].id;
      if (event.shiftKey) this.selectRange(this.anchor ?? target, target);
      else this.selectOnly(target);
      this.focus(target);
    } else if (event.key === " ") {
      event.preventDefault();
      if (this.focused !== null) this.toggle(this.focused);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (this.focused !== null) this.showLarge(this.focused);
    } else if (event.key.toLowerCase() === "a" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      this.selected = new Set(this.items.map((item) => item.id));
      for (const id of this.selected) this.paint(id);
      this.drawSelection();
    } else if (event.key === "Escape") {
      const before = [...this.selected];
      this.selected.clear();
      for (const id of before) this.paint(id);
      this.drawSelection();
    } else if (event.ctrlKey || event.metaKey || event.altKey) {
      return;
    } else if (/^[1-9]$/.test(event.key)) {
      const label = this.data.labels[Number(event.key) - 1];
      if (label) { event.preventDefault(); this.label(label.id); }
    } else if (event.key.toLowerCase() === "u") {
      event.preventDefault();
      this.label(null);
    } else if (event.key === "Delete") {
      event.preventDefault();
      this.askDelete();
    }
  }

  // --- labelling ------------------------------------------------------------

  label(labelId) {
    if (!this.data.may_label || !this.selected.size) return;
    const ids = [...this.selected].filter((id) => this.byId.has(id));
    for (const id of ids) {
      const item = this.byId.get(id);
      this.count(item.label_id, labelId);
      item.label_id = labelId;
      item.labeled_at = labelId === null ? null : new Date().toISOString();
      item.labeled_by = labelId === null ? null : this.data.me;
      this.pending.set(id, labelId);
      this.paint(id);
    }
    this.drawFilters();
    this.drawPalette();
    this.say(this.data.text.saving);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.send(), SEND_AFTER_MS);
    if (ids.length === 1) this.advance(ids[0]);
    else this.focus(this.focused ?? ids[0]);
  }

  count(from, to) {
    const counts = this.counts;
    if (from === to) return;
    if (from !== null) counts.by_label[from] = (counts.by_label[from] ?? 1) - 1;
    if (to !== null) counts.by_label[to] = (counts.by_label[to] ?? 0) + 1;
    const step = (to !== null) - (from !== null);
    counts.labelled += step;
    counts.unlabelled -= step;
  }

  // After a single image, go on to the next one without a label.
  advance(id) {
    const start = this.items.findIndex((item) => item.id === id);
    const next = this.items.slice(start + 1).find((item) => item.label_id === null) ?? this.items[start + 1];
    if (next) {
      this.selectOnly(next.id);
      this.focus(next.id);
    }
  }

  async send() {
    if (this.sending || !this.pending.size || this.stop.signal.aborted) return;
    this.sending = true;
    const batch = new Map(this.pending);
    this.pending.clear();
    const t = this.data.text;
    let wait = 0;
    try {
      const answer = await fetch(`/api/theme/${this.data.theme}/label/update/`, {
        method: "POST", headers: { "Content-Type": "application/json" }, keepalive: batch.size < 500,
        body: JSON.stringify({ changes: [...batch].map(([image_id, label_id]) => ({ image_id, label_id })) }),
      });
      const body = await answer.json();
      if (answer.ok) {
        if (!this.pending.size) this.takeCounts(body.statistics);
        this.say(t.saved);
      } else if (answer.status >= 500) {
        throw new Error(body.detail);
      } else {
        this.say(fill(t.refused, { reason: body.detail }), true);
        this.reload(); // what is on the screen is again what is on disk
      }
    } catch {
      for (const [id, label] of batch) if (!this.pending.has(id)) this.pending.set(id, label);
      this.say(fill(t.offline, { n: this.pending.size }), true);
      wait = RETRY_MS;
    }
    this.sending = false;
    if (this.pending.size) this.timer = setTimeout(() => this.send(), wait);
  }

  takeCounts(statistics) {
    this.counts = statistics;
    this.drawFilters();
    this.drawPalette();
  }

  say(text, bad = false) {
    this.marker.textContent = text;
    this.marker.classList.toggle("bad", bad);
  }

  // --- deleting and looking -------------------------------------------------

  askDelete() {
    if (!this.data.may_label || !this.selected.size) return;
    const t = this.data.text;
    const dialog = element("dialog", { class: "ask", "aria-label": t.delete });
    const close = () => { dialog.close(); dialog.remove(); };
    dialog.append(
      element("p", { text: fill(t.delete_ask, { n: this.selected.size }) }),
      element("div", { class: "actions" },
        element("button", { type: "button", text: t.cancel, onclick: close }),
        element("button", { type: "button", class: "main", text: t.yes_delete, "data-testid": "yes-delete", onclick: () => { close(); this.delete(); } })),
    );
    this.root.append(dialog);
    dialog.showModal();
  }

  async delete() {
    const ids = [...this.selected];
    const t = this.data.text;
    try {
      const answer = await fetch(`/api/theme/${this.data.theme}/images/delete/`, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ ids }),
      });
      const body = await answer.json();
      if (!answer.ok) { this.say(fill(t.refused, { reason: body.detail }), true); return; }
      for (const id of ids) {
        this.tiles.get(id)?.remove();
        this.tiles.delete(id);
        this.byId.delete(id);
        this.pending.delete(id);
      }
      this.items = this.items.filter((item) => this.byId.has(item.id));
      this.selected.clear();
      this.takeCounts(body.statistics);
      this.drawSelection();
      this.message.hidden = this.items.length > 0;
      this.load();
    } catch {
      this.say(t.load_failed, true);
    }
  }

  showLarge(id) {
    const t = this.data.text;
    const dialog = element("dialog", { "aria-label": t.images, "data-testid": "large" });
    const picture = element("img", { alt: "" });
    const facts = element("dl");
    let at = this.items.findIndex((item) => item.id === id);
    const show = () => {
      const item = this.items[at];
      picture.src = item.full;
      picture.alt = item.file_name;
      picture.classList.toggle("small", Math.max(item.width, item.height) <= 128);
      const label = item.label_id === null ? null : this.labels.get(item.label_id);
      const moment = (at, who) => at ? fill(t.by, { when: new Date(at).toLocaleString(), who: who ?? "–" }) : "–";
      const rows = [
        [t.file, item.file_name], [t.label, label ? label.name : t.unlabelled_badge],
        [t.split, item.split ? t[item.split] : t.none],
        [t.size, `${item.width} × ${item.height} px, ${(item.size / 1024).toFixed(1)} KB, ${item.format}`],
        [t.uploaded, moment(item.created_at, item.uploaded_by)], [t.labelled_by, moment(item.labeled_at, item.labeled_by)],
      ];
      facts.replaceChildren(...rows.flatMap(([name, value]) => [element("dt", { text: name }), element("dd", { text: value })]));
    };
    const step = (by) => { at = Math.min(Math.max(at + by, 0), this.items.length - 1); show(); };
    const close = () => { dialog.close(); dialog.remove(); const item = this.items[at]; if (item) { this.selectOnly(item.id); this.focus(item.id); } };
    dialog.append(
      element("div", { class: "large" }, picture, facts),
      element("div", { class: "actions" },
        element("button", { type: "button", text: t.previous, onclick: () => step(-1) }),
        element("button", { type: "button", text: t.next, onclick: () => step(1) }),
        element("button", { type: "button", class: "main", text: t.close, onclick: close })),
    );
    dialog.addEventListener("keydown", (event) => {
      if (event.key === "ArrowRight") step(1);
      else if (event.key === "ArrowLeft") step(-1);
    });
    dialog.addEventListener("cancel", (event) => { event.preventDefault(); close(); });
    show();
    this.root.append(dialog);
    dialog.showModal();
  }

  destroy() {
    this.send();
    this.stop.abort();
  }
}

class Refused extends Error {}

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".root");
  // Streamlit calls this again on every rerun; the grid lives on and takes over what changed.
  if (root.grid && root.grid.data.theme === data.theme) root.grid.update(data);
  else {
    root.grid?.destroy();
    root.grid = new Grid(root, data);
  }
  return () => {
    root.grid?.destroy();
    root.grid = null;
  };
}
