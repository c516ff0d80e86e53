// What a person did and the server has not confirmed yet. Every act is written to the browser's storage
// before anything else, sent at once, tried again until there is an answer, and taken up again after a reload.
const OUTBOX_BATCH = 100;
const OUTBOX_IMAGES = 5000;
const RETRY_MS = [1000, 2000, 4000, 8000];
const ABANDONED_MS = 15000;
const BEAT_MS = 5000;

// crypto.randomUUID exists on https and localhost only; people also come over plain http in a local network.
function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

class Outbox {
  // on: {state(name, n), refused(action, reason), done(results), recovered(n)}
  constructor(theme, person, on) {
    this.theme = theme;
    this.on = on;
    this.prefix = `veritrain.outbox.${theme}.${person}.`;
    this.waiting = [];
    this.sending = false;
    this.failures = 0;
    this.closed = false;
    this.takeUp();
    this.beat = setInterval(() => { if (this.waiting.length) this.keep(); }, BEAT_MS);
  }

  // Takes over what an earlier load of this tab, or a tab that is gone, left behind.
  takeUp() {
    const mine = this.read(sessionStorage, "veritrain.tab");
    this.key = this.prefix + newId();
    this.write(sessionStorage, "veritrain.tab", this.key.slice(this.prefix.length));
    for (const key of Object.keys(localStorage).filter((key) => key.startsWith(this.prefix))) {
      const left = this.read(localStorage, key);
      if (!left || (key !== this.prefix + mine && Date.now() - left.beat < ABANDONED_MS)) continue;
      this.waiting.push(...left.actions);
      this.keep();
      localStorage.removeItem(key);
    }
    if (this.waiting.length) {
      this.on.recovered(this.waiting.length);
      this.send();
    }
  }

  read(storage, key) {
    try { return JSON.parse(storage.getItem(key)); } catch { return null; }
  }

  write(storage, key, value) {
    try { storage.setItem(key, JSON.stringify(value)); } catch { /* full or forbidden: memory still has it */ }
  }

  keep() {
    if (this.waiting.length) this.write(localStorage, this.key, { beat: Date.now(), actions: this.waiting });
    else localStorage.removeItem(this.key);
  }

  // An action is {id, changes, notes, undo, seconds, source}; `paint` says what it makes of images, for the eye only.
  add(action) {
    this.waiting.push(action);
    this.keep();
    this.send();
  }

  // The label that an image gets by what waits, or undefined.
  pending(imageId) {
    for (let n = this.waiting.length - 1; n >= 0; n -= 1) {
      const action = this.waiting[n];
      // What comes back from the browser's storage holds no Map any more.
      if (!(action.map instanceof Map)) action.map = new Map(action.paint);
      if (action.map.has(imageId)) return action.map.get(imageId);
    }
    return undefined;
  }

  images() {
    return this.waiting.reduce((sum, action) => sum + Math.max(1, action.changes.length, action.notes.length), 0);
  }

  batch() {
    const chosen = [];
    let images = 0;
    for (const action of this.waiting) {
      images += action.changes.length + action.notes.length;
      if (chosen.length && (chosen.length >= OUTBOX_BATCH || images > OUTBOX_IMAGES)) break;
      chosen.push(action);
    }
    return chosen;
  }

  async send(leaving = false) {
    if ((this.sending && !leaving) || !this.waiting.length || this.closed) return;
    clearTimeout(this.timer);
    this.sending = true;
    this.on.state(this.failures ? "offline" : "saving", this.images());
    const batch = this.batch();
    const body = JSON.stringify({
      actions: batch.map(({ id, changes, notes, undo, seconds, source }) => ({ id, changes, notes, undo, seconds, source })),
    });
    let answer;
    let result;
    try {
      answer = await fetch(`/api/theme/${this.theme}/label/actions/`, {
        method: "POST", headers: { "Content-Type": "application/json" }, body, keepalive: leaving && body.length < 60000,
      });
      result = await answer.json();
    } catch {
      answer = null;
    }
    this.sending = false;
    if (answer?.ok) this.confirmed(batch, result.done);
    else if (answer?.status === 401) this.wait("signed_out");
    else if (answer === null || answer.status >= 500 || answer.status === 429) this.wait("offline");
    else this.refused(batch, result.detail);
  }

  confirmed(batch, done) {
    this.failures = 0;
    this.waiting.splice(0, batch.length);
    this.keep();
    this.on.done(batch);
    const refused = done.filter((each) => each.refused);
    for (const each of refused) this.on.refused(batch.find((action) => action.id === each.id), each.refused);
    if (!refused.length) this.on.state(this.waiting.length ? "saving" : "saved", this.images());
    this.send();
  }

  // The server does not want the request as a whole (a right that was taken away, say): nothing of it can be saved.
  refused(batch, reason) {
    this.waiting.splice(0, batch.length);
    this.keep();
    for (const action of batch) this.on.refused(action, reason);
    this.send();
  }

  wait(why) {
    this.on.state(why, this.images());
    this.timer = setTimeout(() => this.send(), RETRY_MS[Math.min(this.failures, RETRY_MS.length - 1)]);
    this.failures += 1;
  }

  close() {
    this.keep();
    this.send(true);
    this.closed = true;
    clearTimeout(this.timer);
    clearInterval(this.beat);
  }
}
