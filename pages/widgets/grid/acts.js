// What labels, takes back and does again: painted at once, kept for undo, handed to the outbox.
const UNDO_STEPS = 100;
const ASK_FROM = 1000;
const ACT_IMAGES = 5000;

class Acts {
  // Gives images one label, or each its `own` (a Map); true where that changes something.
  apply(ids, labelId, source, own = null) {
    const to = (id) => (own ? own.get(id) : labelId);
    if (!this.data.may_label || !ids.length || (this.inBatch && labelId === null)) return false;
    if (this.inBatch) source = "queue";
    if (ids.length >= ASK_FROM && !this.agreed) {
      const name = own ? this.data.text.filter_suggested : labelId === null ? this.data.text.clear : this.labels.get(labelId).name;
      this.ask(fill(this.data.text.many_ask, { n: ids.length.toLocaleString(), label: name }), this.data.text.yes_label, () => {
        this.agreed = true;
        this.apply(ids, labelId, source, own);
        this.agreed = false;
      });
      return false;
    }
    if (labelId !== null) this.lastLabel = labelId;
    const changed = ids.filter((id) => { const item = this.rows.items.get(id); return !item || (!item.gone && this.labelOf(item) !== to(id)); });
    if (!changed.length) return false;
    this.remember(changed, to);
    const seconds = this.sinceLast();
    const parts = [];
    for (let from = 0; from < changed.length; from += ACT_IMAGES) {
      const part = changed.slice(from, from + ACT_IMAGES);
      const changes = part.map((id) => [id, to(id)]);
      parts.push({ id: newId(), changes, notes: [], undo: null, seconds: seconds === null ? null : (seconds * part.length) / changed.length, source, paint: changes });
    }
    const answers = this.inBatch ? changed.map((id) => [id, to(id)]) : null;
    this.undoable.push({ ids: parts.map((part) => part.id), before: this.before, answers });
    this.undoable.splice(0, this.undoable.length - UNDO_STEPS);
    this.redoable = [];
    this.keepUndo();
    for (const part of parts) this.outbox.add(part);
    this.tiles.paint(new Set(changed));
    this.drawCounts();
    this.drawSelection();
    this.spoken.textContent = fill(this.data.text.spoken, { n: changed.length, label: labelId === null ? this.data.text.clear : this.labels.get(labelId).name });
    return true;
  }

  // Counts and `before` as far as the rows are here; the rest comes with the next counts from the server.
  remember(ids, to) {
    this.before = [];
    for (const id of ids) {
      const item = this.rows.items.get(id);
      if (!item) continue;
      this.before.push([id, this.labelOf(item)]);
      this.count(this.labelOf(item), to(id));
    }
  }

  // An answer to a batch may be one of two and count for nothing yet: the server's counts come a moment later.
  count(from, to) {
    if (this.inBatch) return;
    const { counts } = this;
    if (from !== null) counts.by_label[from] = (counts.by_label[from] ?? 1) - 1;
    if (to !== null) counts.by_label[to] = (counts.by_label[to] ?? 0) + 1;
    const step = (to !== null) - (from !== null);
    counts.labelled += step;
    counts.unlabelled -= step;
  }

  sinceLast() {
    const now = Date.now();
    const seconds = (now - this.lastAct) / 1000;
    this.lastAct = now;
    return seconds < 600 ? seconds : null;
  }

  afterLabel() {
    if (this.selected.size > 1 || this.filters.sort === "sweep") {
      if (this.filters.sort === "sweep") this.moveTo(Math.min((Math.floor(this.at / this.tiles.columns) + 1) * this.tiles.columns, this.rows.length - 1));
      this.scroll.focus({ preventScroll: true });
      return;
    }
    this.moveTo(this.nextUnlabelled(this.at + 1));
    this.scroll.focus({ preventScroll: true });
  }

  nextUnlabelled(from) {
    for (let index = from; index < Math.min(this.rows.length, from + MAX_ROWS); index += 1) {
      const item = this.rows.at(index);
      if (!item || (!item.gone && this.labelOf(item) === null)) return index;
    }
    return Math.min(from, this.rows.length - 1);
  }

  // Each of the chosen images gets what the model suggests for it, but for those that are judged without it.
  acceptSuggestion(give) {
    if (this.inBatch) return;
    const ids = this.selected.size ? [...this.selected] : [this.rows.ids[this.at]];
    const own = new Map();
    for (const item of ids.map((id) => this.rows.items.get(id))) {
      if (item && !item.gone && !item.audit && this.labels.has(item.suggested_label_id) && this.labelOf(item) === null) own.set(item.id, item.suggested_label_id);
    }
    const [first] = own.values();
    if (own.size === 1 && ids.length === 1) give(first);
    else if (own.size && this.apply([...own.keys()], first, "hand", own)) this.afterLabel();
  }

  undo() { this.takeBack(this.undoable, this.redoable, "undo"); }
  redo() { this.takeBack(this.redoable, this.undoable, "redo"); }

  // Takes an act back by its number on the server; what the eye sees of it at once is `before`.
  takeBack(stack, other, source) {
    const step = stack.pop();
    if (!step) return;
    const now = [];
    let gained = 0;
    const paint = new Map(step.before);
    for (const [id, label] of step.before ?? []) {
      const item = this.rows.items.get(id);
      if (!item) continue;
      now.push([id, this.labelOf(item)]);
      gained += (label !== null) - (this.labelOf(item) !== null);
      this.count(this.labelOf(item), label);
    }
    const act = (undo, changes) => ({ id: newId(), changes, notes: [], undo, seconds: null, source: step.answers ? "queue" : source, paint: [...paint] });
    const acts = step.answers && source === "redo" ? [act(null, step.answers)] : step.ids.map((undo) => act(undo, []));
    // An answer that replaced an earlier one of the same person gives way to that one.
    const earlier = step.answers && source === "undo" ? step.before.filter(([, label]) => label !== null) : [];
    if (earlier.length) acts.push(act(null, earlier));
    other.push({ ids: acts.map((each) => each.id), before: now, answers: step.answers });
    this.keepUndo();
    for (const each of acts) this.outbox.add(each);
    this.tiles.paint();
    this.drawCounts();
    this.drawSelection();
    const first = step.before?.[0]?.[0];
    const index = first === undefined ? -1 : this.rows.indexOf(first);
    if (this.large) this.large.tookBack(gained, index);
    else if (index >= 0) this.moveTo(index);
  }

  keepUndo() {
    const light = (steps) => steps.map((step) => ({ ...step, before: (step.before ?? []).slice(0, 500) }));
    this.outbox.write(sessionStorage, this.undoKey, { undo: light(this.undoable), redo: light(this.redoable) });
  }

  // The server has it: the rows say it now too.
  confirmed(batch) {
    const now = new Date().toISOString();
    for (const action of batch) {
      for (const [id, labelId] of action.paint) {
        const item = this.rows.items.get(id);
        if (!item) continue;
        item.label_id = labelId;
        item.labeled_at = labelId === null ? null : now;
        item.labeled_by = labelId === null ? null : this.data.me.name;
      }
    }
    this.tellStage();
    // What was undone is what still stood; another person may have been quicker.
    if (batch.some((action) => action.undo)) this.refreshShown();
  }

  refreshShown() {
    const shown = [...this.tiles.shown.keys()];
    this.tiles.stale();
    if (shown.length) this.rows.refresh(Math.min(...shown), Math.max(...shown));
  }

  refused(action, reason) {
    this.marker.textContent = fill(this.data.text.refused, { reason });
    this.marker.classList.add("bad");
    this.undoable = this.undoable.filter((step) => !step.ids.includes(action.id));
    this.refreshShown();
    this.total = null; // the next look at the server brings the counts
  }
}
