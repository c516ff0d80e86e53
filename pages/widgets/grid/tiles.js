// The tiles that can be seen, laid over a canvas as high as all of them. Beyond what a browser can lay out
// (some 30 million pixels) the scroll bar stands for a share of the whole, while the wheel still moves by pixels.
const GAP = 8;
const FOOT = 28;
const MAX_CANVAS = 8_000_000;
const SIZES = { small: 96, medium: 128, large: 208 };
const SETTLE_MS = 120;
const BAND_FROM = 6;

class Tiles {
  // on: {paint(tile, index), drawn(first, last), band(positions, add), bandEnded()}
  constructor(scroll, rows, on) {
    this.scroll = scroll;
    this.rows = rows;
    this.on = on;
    this.canvas = element("div", { class: "canvas", role: "presentation" });
    this.scroll.append(this.canvas);
    this.shown = new Map(); // index → tile
    this.position = 0; // pixels of the whole above the window
    this.size = "medium";
    this.columns = 1;
    this.lastTop = 0;
    this.scroll.addEventListener("scroll", () => this.scrolled());
    this.observer = new ResizeObserver(() => this.layout());
    this.observer.observe(this.scroll);
    this.canvas.addEventListener("pointerdown", (event) => this.beginBand(event));
  }

  // --- geometry ---------------------------------------------------------------

  layout() {
    const width = this.scroll.clientWidth - 2 * GAP;
    if (width <= 0) return;
    const top = this.firstVisible();
    this.columns = Math.max(1, Math.floor((width + GAP) / (SIZES[this.size] + GAP)));
    this.width = (width - GAP * (this.columns - 1)) / this.columns;
    this.rowHeight = Math.round(this.width) + FOOT + GAP;
    this.clear();
    this.resize();
    this.show(top, true);
  }

  resize() {
    this.whole = Math.ceil(this.rows.length / this.columns) * this.rowHeight + GAP;
    this.canvas.style.height = `${Math.min(this.whole, MAX_CANVAS)}px`;
    this.draw();
  }

  get window() { return this.scroll.clientHeight; }
  get lowest() { return Math.max(0, this.whole - this.window); }
  get lowestTop() { return Math.max(1, Math.min(this.whole, MAX_CANVAS) - this.window); }
  get scaled() { return this.whole > MAX_CANVAS; }
  firstVisible() { return Math.max(0, Math.floor(this.position / (this.rowHeight || 1)) * this.columns); }
  topOf(index) { return GAP + Math.floor(index / this.columns) * this.rowHeight; }

  setSize(size) {
    this.size = size in SIZES ? size : "medium";
    this.layout();
  }

  scrolled() {
    const top = this.scroll.scrollTop;
    const before = this.position;
    if (!this.scaled) this.position = top;
    else if (top !== this.lastTop) {
      const step = top - this.lastTop;
      if (Math.abs(step) < 2 * this.window) this.position = Math.min(Math.max(0, this.position + step), this.lowest);
      else this.position = (top / this.lowestTop) * this.lowest;
    }
    this.lastTop = top;
    // While somebody flies over thousands of rows, pictures nobody will see are not asked for.
    this.flying = Math.abs(this.position - before) > 1.5 * this.window;
    this.draw();
    clearTimeout(this.settle);
    this.settle = setTimeout(() => { this.flying = false; this.align(); this.draw(); }, SETTLE_MS);
  }

  // Lets the scroll bar stand where the position is.
  align() {
    if (!this.scaled) return;
    this.lastTop = Math.round((this.position / Math.max(1, this.lowest)) * this.lowestTop);
    if (this.scroll.scrollTop !== this.lastTop) this.scroll.scrollTop = this.lastTop;
    this.lastTop = this.scroll.scrollTop;
  }

  // Brings the row of an image into the window; at its top where `top` is true.
  show(index, top = false) {
    const y = this.topOf(index) - GAP;
    if (top || y < this.position) this.position = y;
    else if (y + this.rowHeight + GAP > this.position + this.window) this.position = y + this.rowHeight + GAP - this.window;
    this.position = Math.min(Math.max(0, this.position), this.lowest);
    if (this.scaled) this.align();
    else this.scroll.scrollTop = this.position;
    this.draw();
  }

  // --- drawing ----------------------------------------------------------------

  draw() {
    if (!this.rowHeight) return;
    const ahead = this.flying ? 0 : this.window;
    const firstRow = Math.max(0, Math.floor((this.position - ahead) / this.rowHeight));
    const lastRow = Math.floor((this.position + this.window + ahead) / this.rowHeight);
    const first = firstRow * this.columns;
    const last = Math.min(this.rows.length, (lastRow + 1) * this.columns) - 1;
    for (const [index, tile] of this.shown) {
      if (index < first || index > last || tile.imageId !== this.rows.ids[index]) {
        tile.remove();
        this.shown.delete(index);
      }
    }
    const shift = this.scaled ? this.scroll.scrollTop - this.position : 0;
    for (let index = first; index <= last; index += 1) {
      let tile = this.shown.get(index);
      if (!tile) {
        tile = this.make(index);
        this.shown.set(index, tile);
        this.canvas.append(tile);
        this.on.paint(tile, index);
      }
      const x = GAP + (index % this.columns) * (this.width + GAP);
      const place = `translate(${x}px, ${this.topOf(index) + shift}px)`;
      if (tile.place !== place) tile.style.transform = tile.place = place;
    }
    this.on.drawn(first, last);
  }

  make(index) {
    const tile = element("div", { class: "tile", role: "option", "data-testid": "tile" },
      element("img", { alt: "", decoding: "async", draggable: "false" }),
      element("span", { class: "check", text: "✓", "aria-hidden": "true" }),
      element("span", { class: "badge" }),
      element("span", { class: "flag", text: "⚑", hidden: "" }),
      element("div", { class: "foot" }, element("span", { class: "dot" }), element("span", { class: "name" }), element("span", { class: "n" })));
    tile.imageId = this.rows.ids[index];
    tile.index = index;
    tile.id = `tile-${tile.imageId}`;
    tile.dataset.id = tile.imageId;
    tile.style.width = `${this.width}px`;
    tile.style.height = `${this.rowHeight - GAP}px`;
    tile.setAttribute("aria-setsize", String(this.rows.length));
    tile.setAttribute("aria-posinset", String(index + 1));
    return tile;
  }

  paint(ids = null) {
    for (const [index, tile] of this.shown) if (!ids || ids.has(tile.imageId)) this.on.paint(tile, index);
  }

  // What is shown stays until its rows come, and is painted anew then.
  stale() {
    for (const tile of this.shown.values()) tile.bare = true;
  }

  clear() {
    for (const tile of this.shown.values()) tile.remove();
    this.shown.clear();
  }

  // --- rubber band ------------------------------------------------------------

  beginBand(event) {
    if (event.button !== 0 || event.pointerType === "touch") return;
    const box = this.scroll.getBoundingClientRect();
    const at = (e) => [e.clientX - box.left, e.clientY - box.top + this.position];
    const from = at(event);
    let last = event;
    let band = null;
    const draw = () => {
      const to = at(last);
      if (!band && Math.hypot(to[0] - from[0], to[1] - from[1]) < BAND_FROM) return;
      band ??= this.canvas.appendChild(element("div", { class: "band" }));
      this.on.band(this.within(from, to), event.ctrlKey || event.metaKey);
      const shift = this.scaled ? this.scroll.scrollTop - this.position : 0;
      Object.assign(band.style, {
        left: `${Math.min(from[0], to[0])}px`, top: `${Math.min(from[1], to[1]) + shift}px`,
        width: `${Math.abs(to[0] - from[0])}px`, height: `${Math.abs(to[1] - from[1])}px`,
      });
    };
    // Near an edge the window follows the hand.
    const follow = setInterval(() => {
      const below = last.clientY - box.bottom;
      const above = box.top - last.clientY;
      if (band && (below > -24 || above > -24)) { this.scroll.scrollTop += below > -24 ? 28 : -28; draw(); }
    }, 30);
    const move = (e) => { last = e; draw(); };
    const end = () => {
      clearInterval(follow);
      window.removeEventListener("pointermove", move);
      window.removeEventListener("pointerup", end);
      window.removeEventListener("pointercancel", end);
      if (band) {
        band.remove();
        this.banded = performance.now();
        this.on.bandEnded();
      }
    };
    window.addEventListener("pointermove", move);
    window.addEventListener("pointerup", end);
    window.addEventListener("pointercancel", end);
  }

  // True just after a rubber band: the click that ends it selects nothing else.
  get justBanded() { return performance.now() - (this.banded ?? -1000) < 100; }

  // Positions of the tiles that a rectangle of the whole touches.
  within([x1, y1], [x2, y2]) {
    const column = (x) => Math.floor((x - GAP) / (this.width + GAP));
    const row = (y) => Math.floor((y - GAP) / this.rowHeight);
    const [left, right] = [Math.min(x1, x2), Math.max(x1, x2)];
    const [top, bottom] = [Math.min(y1, y2), Math.max(y1, y2)];
    // A band that begins in a gap does not touch the tile before it.
    const startsInGap = (left - GAP) - column(left) * (this.width + GAP) > this.width;
    const found = [];
    for (let r = Math.max(0, row(top)); r <= row(bottom); r += 1) {
      for (let c = Math.max(0, column(left) + (startsInGap ? 1 : 0)); c <= Math.min(this.columns - 1, column(right)); c += 1) {
        const index = r * this.columns + c;
        if (index < this.rows.length) found.push(index);
      }
    }
    return found;
  }

  close() {
    this.observer.disconnect();
    clearTimeout(this.settle);
  }
}
