// What a judge chose and the server has not confirmed yet: written to the browser's storage first, sent one after the
// other, tried again until there is an answer, and taken up again after a reload.
const RETRY_MS = [1000, 2000, 4000, 8000];

class Acts {
  // on: {state(name, n), refused(act, reason), progress(progress)}
  constructor(duel, person, on) {
    this.base = `/api/v1/duels/${duel}/items/`;
    this.key = `veritrain.duel.${duel}.${person}`;
    this.on = on;
    this.failures = 0;
    this.confirmed = 0;
    this.sending = null;
    this.closed = false;
    try { this.waiting = JSON.parse(localStorage.getItem(this.key)) ?? []; } catch { this.waiting = []; }
  }

  keep() {
    try {
      if (this.waiting.length) localStorage.setItem(this.key, JSON.stringify(this.waiting));
      else localStorage.removeItem(this.key);
    } catch { /* full or forbidden: memory still has it */ }
  }

  // An act is {number, choice, seconds}; without a choice it takes the judgement back.
  add(act) {
    this.waiting.push(act);
    this.keep();
    return this.send();
  }

  // Resolves when nothing waits any more, or when it will be tried again later.
  send() {
    this.sending ??= this.sendAll().finally(() => { this.sending = null; });
    return this.sending;
  }

  async sendAll() {
    clearTimeout(this.timer);
    while (this.waiting.length && !this.closed) {
      this.on.state(this.failures ? "offline" : "saving", this.waiting.length);
      const act = this.waiting[0];
      const address = `${this.base}${act.number}/judgement/`;
      const request = act.choice
        ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ choice: act.choice, seconds: act.seconds }) }
        : { method: "DELETE" };
      let answer = null;
      let found = null;
      try {
        answer = await fetch(address, { ...request, keepalive: true });
        found = await answer.json();
      } catch { answer = null; }
      if (answer === null || answer.status >= 500 || answer.status === 429 || answer.status === 401) {
        this.later(answer?.status === 401 ? "signed_out" : "offline");
        return;
      }
      this.failures = 0;
      this.confirmed += 1;
      this.waiting.shift();
      this.keep();
      if (answer.ok) {
        if (!this.waiting.length) this.on.state("saved", 0);
        this.on.progress(found);
      } else this.on.refused(act, found.detail);
    }
  }

  later(why) {
    this.on.state(why, this.waiting.length);
    this.timer = setTimeout(() => this.send(), RETRY_MS[Math.min(this.failures, RETRY_MS.length - 1)]);
    this.failures += 1;
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
  }
}
