// Where every image stands (all ids, in the filter's order) and the rows of those that are near the eye.
const MAX_ROWS = 1000;
const CHUNK = 100;

class Refused extends Error {}

async function answerOf(path, options) {
  const answer = await fetch(path, options);
  if (!answer.ok) {
    const body = await answer.json().catch(() => ({}));
    throw answer.status < 500 ? new Refused(body.detail) : new Error(body.detail);
  }
  return answer;
}

class Rows {
  constructor(theme, onRows) {
    this.theme = theme;
    this.onRows = onRows;
    this.day = ""; // the day whose labels are shown, where it is not today
    this.ids = new Uint32Array();
    this.places = null;
    this.items = new Map(); // id → row, the least recently wanted first
    this.asked = new Set();
    this.stop = new AbortController();
    this.whole = null; // settles once all ids are here
  }

  // All ids of the filter; the first screenful of rows comes at the same time, before a million ids are here.
  async load(query, first) {
    this.stop.abort();
    this.stop = new AbortController();
    const { signal } = this.stop;
    this.asked.clear();
    const loading = Promise.all([this.idsOf(query, signal), first ? this.peek(query, signal) : null]);
    this.whole = loading.catch(() => null); // whoever loads hears of a failure
    this.take((await loading)[0]);
  }

  async idsOf(query, signal) {
    const answer = await answerOf(`/api/theme/${this.theme}/images/ids/?${query}`, { signal });
    const bytes = await answer.arrayBuffer();
    if (answer.headers.get("X-Id-Bytes") === "4") return new Uint32Array(bytes);
    return Float64Array.from(new BigUint64Array(bytes), Number);
  }

  // The rows of these images, also of those that are not kept here.
  async* each(ids) {
    for (let from = 0; from < ids.length; from += CHUNK) {
      const part = ids.slice(from, from + CHUNK);
      const missing = part.filter((id) => !this.items.has(id));
      const found = new Map();
      if (missing.length) {
        const answer = await answerOf(`/api/theme/${this.theme}/images/rows/?ids=${missing.join(",")}`, { signal: this.stop.signal });
        for (const item of (await answer.json()).items) found.set(item.id, item);
      }
      for (const id of part) {
        const item = this.items.get(id) ?? found.get(id);
        if (item && !item.gone) yield item;
      }
    }
  }

  // The images that this person alone is to label now.
  async loadBatch() {
    this.stop.abort();
    this.stop = new AbortController();
    this.asked.clear();
    this.whole = null;
    const answer = await answerOf(`/api/theme/${this.theme}/team/batch/`, { method: "POST", signal: this.stop.signal });
    this.take(Uint32Array.from((await answer.json()).ids));
  }

  async peek(query, signal) {
    const answer = await answerOf(`/api/theme/${this.theme}/images/?${query}&limit=${CHUNK}`, { signal });
    const page = await answer.json();
    for (const item of page.items) this.keep(item);
    if (!this.ids.length && page.items.length) {
      this.take(Uint32Array.from(page.items, (item) => item.id));
      this.onRows();
    }
  }

  take(ids) {
    this.ids = ids;
    this.places = null;
  }

  get length() {
    return this.ids.length;
  }

  indexOf(id) {
    if (!this.places) {
      this.places = new Map();
      this.ids.forEach((each, index) => this.places.set(each, index));
    }
    return this.places.get(id) ?? -1;
  }

  at(index) {
    return this.items.get(this.ids[index]);
  }

  keep(item) {
    this.items.delete(item.id);
    this.items.set(item.id, item);
  }

  // Asks for the rows from one position to another that are not here; answers come through onRows.
  need(from, to) {
    for (let chunk = Math.floor(Math.max(0, from) / CHUNK); chunk * CHUNK <= Math.min(to, this.length - 1); chunk += 1) {
      const ids = [...this.ids.subarray(chunk * CHUNK, (chunk + 1) * CHUNK)].filter((id) => !this.items.has(id));
      if (ids.length && !this.asked.has(chunk)) this.fetch(ids, chunk);
    }
  }

  async fetch(ids, chunk) {
    const { signal } = this.stop;
    this.asked.add(chunk);
    try {
      const answer = await answerOf(`/api/theme/${this.theme}/images/rows/?ids=${ids.join(",")}${this.day}`, { signal });
      const found = (await answer.json()).items;
      for (const item of found) this.keep(item);
      const here = new Set(found.map((item) => item.id));
      for (const id of ids) if (!here.has(id)) this.items.set(id, { id, gone: true });
      this.asked.delete(chunk);
      this.onRows();
    } catch (error) {
      if (signal.aborted) return;
      setTimeout(() => { this.asked.delete(chunk); this.onRows(); }, 2000); // the next drawing asks again
    }
  }

  // Forgets rows beyond MAX_ROWS, those first that were wanted longest ago; never what is on the screen.
  trim(from, to) {
    for (let index = from; index <= to; index += 1) {
      const item = this.at(index);
      if (item) this.keep(item);
    }
    for (const id of this.items.keys()) {
      if (this.items.size <= MAX_ROWS) break;
      this.items.delete(id);
    }
  }

  async refresh(from, to) {
    for (let index = from; index <= to; index += 1) this.items.delete(this.ids[index]);
    this.asked.clear();
    this.need(from, to);
  }

  remove(ids) {
    const gone = new Set(ids);
    for (const id of gone) this.items.delete(id);
    this.take(this.ids.filter((id) => !gone.has(id)));
  }

  close() {
    this.stop.abort();
  }
}
