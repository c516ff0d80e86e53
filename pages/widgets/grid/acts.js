// What labels, takes back and does again: painted at once, kept for undo, handed to the outbox.
const UNDO_STEPS = 100;
const ASK_FROM = 1000;
const ACT_IMAGES = 5000;
const FINE_ASK_FROM = 20;

class Acts {
  // Gives images one label, or each its `own` (a Map); true where that changes something.
  apply(ids, labelId, source, own = null) {
    const to = (id) => (own ? own.get(id) : labelId);
    if (!this.data.may_label || !ids.length || (this.inBatch && labelId === null)) return false;
    if (this.inBatch) source = "queue";
    else if (source === "hand" && this.data.of_labels.includes(this.filters.get("finding"))) source = "settled"; // seen with the doubt
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

  isUnlabelled(item) { return Boolean(item) && !item.gone && this.labelOf(item) === null; }

  // The next row without a label, of those that are here; where that is none, and among findings, the next row.
  nextUnlabelled(from) {
    for (let index = from; index < this.rows.length && !this.filters.get("finding"); index += 1) {
      if (!this.rows.at(index)) break;
      if (this.isUnlabelled(this.rows.at(index))) return index;
    }
    return Math.min(from, this.rows.length - 1);
  }

  // The same, however far away it is: the server knows. Nothing is selected meanwhile, so no key labels a wrong image.
  async seekUnlabelled(from) {
    const near = this.nextUnlabelled(from);
    if (this.inBatch || this.past || this.isUnlabelled(this.rows.at(near))) return near;
    this.select([]);
    try {
      const query = this.filters.query();
      query.set("state", "unlabelled");
      for (const id of await this.rows.idsOf(query, this.stop.signal)) {
        const index = this.rows.indexOf(id);
        const row = this.rows.items.get(id);
        if (index >= from && !(row && this.labelOf(row) !== null)) return index;
      }
    } catch { /* then the next one is as good as any */ }
    return near;
  }

  async skip() {
    const asked = this.rows.ids;
    const index = await this.seekUnlabelled(this.at + 1);
    if (asked === this.rows.ids) this.moveTo(index);
  }

  // The label that a finding says is likelier, while the image still has the one that it speaks against.
  likelier(item) {
    if (this.labelOf(item) !== item.label_id || item.label_id === null || this.inBatch) return undefined;
    const kind = this.filters.get("finding");
    return this.labels.get(this.data.of_labels.includes(kind) ? item.likelier[kind] : Object.values(item.likelier)[0]);
  }

  // Whether the list is one of doubted labels, this one is doubted still, and this person may answer.
  mayCallFine(item) {
    const kind = this.filters.get("finding");
    return this.data.of_labels.includes(kind) && this.data.may_call_fine.includes(kind) && Boolean(this.likelier(item));
  }

  // Each of the chosen images gets the likelier label; of many, those that measure how right labels are stay as they are.
  async takeLikelier() {
    const t = this.data.text;
    const ids = [...this.selected];
    const own = new Map();
    let left = 0;
    try {
      for await (const item of this.rows.each(ids)) {
        const label = this.likelier(item);
        if (label && item.audit && ids.length > 1) left += 1;
        else if (label) own.set(item.id, label.id);
      }
    } catch (error) {
      this.failed(error);
      return;
    }
    const [first] = own.values();
    if (own.size && this.apply([...own.keys()], first, "settled", own)) this.afterLabel();
    if (left) this.tell(fill(t.likelier_left, { n: left.toLocaleString() }));
  }

  // Each of the chosen images gets what the model suggests for it, but for those that are judged without it.
  acceptSuggestion(give) {
    if (this.inBatch) return;
    const ids = this.selected.size ? [...this.selected] : [this.rows.ids[this.at]];
    if (this.data.of_labels.includes(this.filters.get("finding"))) {
      const item = ids.length === 1 && this.rows.items.get(ids[0]);
      if (!item) this.takeLikelier();
      else if (this.likelier(item)) give(this.likelier(item).id);
      return;
    }
    const own = new Map();
    for (const item of ids.map((id) => this.rows.items.get(id))) {
      if (this.isUnlabelled(item) && !item.audit && this.labels.has(item.suggested_label_id)) own.set(item.id, item.suggested_label_id);
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
    if (step.fine) { this.decideAgain(step, stack, other, source === "redo"); return; }
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

  // What a person calls fine is no finding any more and leaves the list, where the next one takes its place; it can be
  // undone like a label.
  callFine(ids = [...this.selected]) {
    const t = this.data.text;
    const kind = this.filters.get("finding");
    const does = async () => {
      if (this.deciding) return;
      this.deciding = true;
      const decided = []; // not those that somebody else called fine before
      await this.takeOff(ids, "quality/decide", { kind }, (answer) => decided.push(...answer.ids));
      this.deciding = false;
      if (!decided.length) return;
      this.undoable.push({ ids: [], before: [], fine: { kind, ids: decided } });
      this.undoable.splice(0, this.undoable.length - UNDO_STEPS);
      this.redoable = [];
      this.keepUndo();
      this.drawSelection();
      if (this.large) this.large.replaced();
      else if (ids.length === 1) this.moveTo(this.at);
    };
    if (ids.length < FINE_ASK_FROM) does();
    else this.ask(fill(t.fine_ask, { n: ids.length.toLocaleString() }), t.yes_fine, does);
  }

  async decideAgain(step, stack, other, keep) {
    const { kind, ids } = step.fine;
    try {
      await this.postParts("quality/decide", ids, { kind, keep });
      other.push(step);
    } catch (error) {
      stack.push(step);
      this.failed(error);
    }
    this.keepUndo();
    this.large?.close();
    this.load();
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
        if (item.label_id !== labelId) item.likelier = {};
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
    this.tell(fill(this.data.text.refused, { reason }));
    this.undoable = this.undoable.filter((step) => !step.ids.includes(action.id));
    this.refreshShown();
    this.total = null; // the next look at the server brings the counts
  }
}
