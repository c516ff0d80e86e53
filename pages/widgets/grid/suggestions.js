// What the newest model suggests for the images shown: how often people confirmed it, and accepting many at once.
const SUGGEST_MS = 4000;
const ACCEPT_IMAGES = 10000;
const NEEDS_MODEL = ["uncertain", "teach", "sweep"];

class Suggestions {
  constructor(grid) {
    this.grid = grid;
    this.box = element("div", { class: "bar suggest", hidden: "", "data-testid": "suggestions" });
    this.look();
  }

  async look() {
    clearTimeout(this.timer);
    const { data, stop } = this.grid;
    try {
      const answer = await answerOf(`/api/theme/${data.theme}/suggestions/`, { signal: stop.signal });
      const before = this.state;
      this.state = await answer.json();
      if (before?.running && !this.state.running) this.grid.reloadRows();
      this.draw();
    } catch { /* asked again below */ }
    if (!stop.signal.aborted) this.timer = setTimeout(() => this.look(), this.state?.running ? SUGGEST_MS / 2 : SUGGEST_MS * 5);
  }

  draw() {
    const { state, grid } = this;
    const t = grid.data.text;
    if (!state) return;
    for (const option of grid.filters.order.options) {
      if (!NEEDS_MODEL.includes(option.value)) continue;
      option.disabled = !state.n_suggested;
      option.title = state.n_suggested ? "" : t.needs_model;
    }
    // Answers to a batch are given without seeing what the model thinks.
    this.box.hidden = grid.past || grid.inBatch || !(state.n_suggested || state.running || (grid.data.has_model && grid.data.may_label));
    if (this.box.contains(this.box.getRootNode().activeElement) && this.drawn === state.version && !state.running) return;
    this.drawn = state.version;
    grid.drawSelection(); // the review is offered once there is something to suspect
    const says = [];
    if (state.n_suggested) says.push(fill(t.suggests, { version: state.version, n: state.n_suggested.toLocaleString() }));
    const judged = state.confirmed + state.overruled;
    if (judged) says.push(fill(t.confirmed, { confirmed: state.confirmed, n: judged, percent: Math.round((100 * state.confirmed) / judged) }));
    const percent = (share) => `${Math.round(share * 100)} %`;
    if (state.audit.n) says.push(fill(t.audited, { n: state.audit.n, percent: percent(state.audit.right / state.audit.n), low: percent(state.audit.low), high: percent(state.audit.high) }));
    if (state.error) says.push(state.error.message);
    const parts = says.map((text) => element("span", { class: "note", text }));
    if (state.running) {
      parts.push(element("span", { class: "note", text: t.suggesting }), element("progress", { max: 1, value: state.progress, "aria-label": t.suggesting }));
    } else if (grid.data.may_label) {
      if (state.n_suggested) {
        const least = this.least?.value ?? "0.95";
        this.least = element("input", { type: "number", min: 0, max: 1, step: 0.01, value: least, "aria-label": t.at_least, title: t.at_least, "data-testid": "at-least" });
        parts.push(element("button", { type: "button", "data-testid": "accept", title: t.accept_help, onclick: () => this.preview() }, element("span", { text: t.accept })), this.least);
      }
      parts.push(element("button", { type: "button", text: state.n_suggested ? t.suggest_again : t.suggest, title: t.suggest_help, "data-testid": "suggest", onclick: () => this.post("", {}).then((state) => { if (state) { this.state = state; this.draw(); this.look(); } }) }));
    }
    this.box.replaceChildren(...parts);
  }

  // Posts and gives the answer; a refusal is said beside the marker.
  async post(path, body) {
    const { grid } = this;
    try {
      const answer = await answerOf(`/api/theme/${grid.data.theme}/suggestions/${path}`, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
      });
      return await answer.json();
    } catch (error) {
      grid.marker.textContent = error instanceof Refused ? error.message : grid.data.text.no_connection;
      grid.marker.classList.add("bad");
      return null;
    }
  }

  async preview() {
    const { grid } = this;
    const t = grid.data.text;
    const ids = [...(grid.selected.size > 1 ? grid.selected : grid.rows.ids)].slice(0, ACCEPT_IMAGES);
    const chosen = { ids, at_least: Number(this.least.value) };
    const found = await this.post("preview/", chosen);
    if (!found) return;
    const rows = Object.entries(found.by_label).map(([id, n]) => [grid.labels.get(Number(id)), n]).filter(([label]) => label).sort((a, b) => b[1] - a[1]);
    const total = rows.reduce((sum, [, n]) => sum + n, 0);
    const list = element("ul", { class: "preview" }, ...rows.map(([label, n]) => element("li", {}, dotOf(label), element("span", { class: "name", text: label.name }), element("span", { class: "n", text: n.toLocaleString() }))));
    const question = fill(total ? t.accept_ask : t.accept_none, { n: total.toLocaleString(), percent: `${Math.round(chosen.at_least * 100)} %`, left: found.excluded.toLocaleString() });
    const dialog = grid.ask(question, fill(t.accept_yes, { n: total.toLocaleString() }), () => this.accept(chosen), list);
    if (!total) dialog.querySelector("[data-testid=yes]").remove();
  }

  async accept(chosen) {
    const { grid } = this;
    const id = newId();
    const done = await this.post("accept/", { ...chosen, action_id: id });
    if (!done) return;
    grid.undoable.push({ ids: [id], before: [] });
    grid.keepUndo();
    grid.counts = done.statistics;
    grid.marker.classList.remove("bad");
    grid.marker.textContent = fill(grid.data.text.accepted, { n: done.updated.toLocaleString() });
    grid.reloadRows();
    this.look();
  }
}
