// Sends dropped or chosen files to /api in batches, so that progress can be shown and a broken
// connection costs one batch. Archives go alone; the server opens them.
const BATCH_FILES = 250;
const BATCH_BYTES = 24 * 1024 * 1024;
const LISTED = 200;
const NAMED = 6;

// A dropped folder is read entry by entry; the browser gives at most 100 at a time.
async function filesOf(entry, path) {
  if (entry.isFile) {
    const file = await new Promise((ok, bad) => entry.file(ok, bad));
    return [{ file, name: path + file.name }];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const part = await new Promise((ok, bad) => reader.readEntries(ok, bad));
    if (!part.length) return found;
    for (const child of part) found.push(...(await filesOf(child, `${path}${entry.name}/`)));
  }
}

// Names of the folders that files lie in, but those of splits; they are labels where there are several.
function foldersOf(files) {
  const found = new Set(files.map(({ name }) => name.split("/").slice(0, -1).pop()).filter(Boolean));
  for (const split of ["train", "valid", "val", "test"]) found.delete(split);
  return [...found].sort();
}

class Upload {
  constructor(root, component) {
    this.root = root;
    this.component = component;
    const t = component.data.text;
    const pick = (attributes) => element("input", {
      type: "file", multiple: "", hidden: "", ...attributes,
      onchange: (event) => {
        const files = [...event.target.files].map((file) => ({ file, name: file.webkitRelativePath || file.name }));
        event.target.value = "";
        this.take(files);
      },
    });
    const files = pick({ "data-testid": "upload-files", "aria-label": t.choose });
    const folder = pick({ webkitdirectory: "", "data-testid": "upload-folder", "aria-label": t.folder });
    this.options = component.data.options.map((option) => ({
      ...option, box: element("input", { type: "checkbox", "data-testid": `option-${option.name}` }),
    }));
    this.zone = element("div", { class: "zone", "data-testid": "drop-zone" },
      element("p", { text: t.drop }),
      element("button", { type: "button", text: t.choose, onclick: () => files.click() }),
      element("button", { type: "button", text: t.folder, onclick: () => folder.click() }), files, folder);
    this.zone.addEventListener("dragover", (event) => { event.preventDefault(); this.zone.classList.add("over"); });
    this.zone.addEventListener("dragleave", () => this.zone.classList.remove("over"));
    this.zone.addEventListener("drop", (event) => this.drop(event));
    this.status = element("div", { class: "status", "aria-live": "polite" });
    root.replaceChildren(this.zone,
      element("div", { class: "options" },
        ...this.options.map(({ box, text, help }) => element("label", { title: help }, box, element("span", { text })))),
      this.status);
  }

  async drop(event) {
    event.preventDefault();
    this.zone.classList.remove("over");
    // Entries must be taken before the first await: the browser empties the list after it.
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const plain = [...event.dataTransfer.files].map((file) => ({ file, name: file.name }));
    if (!entries.length) { this.take(plain); return; }
    const found = [];
    for (const entry of entries) found.push(...(await filesOf(entry, "")));
    this.take(found);
  }

  // Files in several folders come with labels more often than not: whoever chose nothing is asked.
  take(files) {
    if (!files.length || this.busy) return;
    const option = this.options.find((each) => each.asks && !each.box.checked);
    const folders = option ? foldersOf(files) : [];
    if (folders.length < 2) { this.send(files); return; }
    const { asks, box } = option;
    const names = folders.slice(0, NAMED).join(", ") + (folders.length > NAMED ? ", …" : "");
    const yes = element("button", { type: "button", class: "first", text: asks.yes, onclick: () => { box.checked = true; this.send(files); } });
    const no = element("button", { type: "button", text: asks.no, onclick: () => this.send(files) });
    this.status.replaceChildren(element("div", { class: "report", role: "group", "data-testid": "upload-asks" },
      element("p", { text: fill(asks.question, { n: folders.length.toLocaleString(), names }) }),
      element("div", { class: "line" }, yes, no)));
    yes.focus();
  }

  batches(files) {
    const made = [];
    let batch = [];
    let bytes = 0;
    for (const item of files) {
      const large = /\.(zip|tar|tgz|gz)$/i.test(item.name) || item.file.size > BATCH_BYTES;
      if (batch.length && (large || batch.length >= BATCH_FILES || bytes + item.file.size > BATCH_BYTES)) {
        made.push(batch);
        batch = [];
        bytes = 0;
      }
      batch.push(item);
      bytes += item.file.size;
      if (large) { made.push(batch); batch = []; bytes = 0; }
    }
    if (batch.length) made.push(batch);
    return made;
  }

  async send(files) {
    this.busy = true;
    const t = this.component.data.text;
    const bar = element("progress", { max: files.reduce((n, item) => n + item.file.size, 0) || 1, value: 0 });
    const words = element("span", { "data-testid": "upload-progress" });
    const stop = element("button", { type: "button", text: t.cancel, onclick: () => { this.stopped = true; this.request?.abort(); } });
    this.stopped = false;
    this.status.replaceChildren(element("div", { class: "line" }, bar, words, stop));
    const total = { added: 0, duplicates: 0, late: 0, contradicted: 0, refused: 0, other: [], list: [], labels: [] };
    let sent = 0;
    let count = 0;
    let problem = "";
    let made = null;
    let address = this.component.data.address;
    if (!address) {
      try {
        made = await this.make();
        address = fill(this.component.data.made.files, { id: made });
      } catch (error) {
        problem = fill(t.failed, { reason: error.message });
      }
    }
    for (const batch of address ? this.batches(files) : []) {
      const show = (bytes) => {
        bar.value = sent + bytes;
        words.textContent = fill(t.sending, { done: count, total: files.length });
      };
      show(0);
      try {
        const answer = await this.post(address, batch, show, () => { words.textContent = t.working; });
        total.added += answer.added;
        total.duplicates += answer.duplicates ?? 0;
        total.late += answer.labelled_late ?? 0;
        total.contradicted += answer.contradicted ?? 0;
        total.other.push(...(answer.contradicted_names ?? []));
        total.refused += answer.refused_total;
        total.list.push(...answer.refused);
        total.labels.push(...(answer.labels_created ?? []));
      } catch (error) {
        problem = this.stopped ? t.stopped : fill(t.failed, { reason: error.message });
        break;
      }
      sent += batch.reduce((n, item) => n + item.file.size, 0);
      count += batch.length;
    }
    this.busy = false;
    this.report(total, problem);
    const clean = !problem && !total.refused && !total.duplicates && !total.labels.length;
    if (total.added || total.late || made !== null) this.component.setTriggerValue("done", { added: total.added, clean, made });
  }

  // What is to take the files, where there is none yet; its id.
  async make() {
    const { address, body } = this.component.data.made;
    const headers = { "Content-Type": "application/json" };
    let answer;
    try {
      answer = await fetch(address, { method: "POST", headers, body: JSON.stringify(body) });
    } catch {
      throw new Error(this.component.data.text.no_connection);
    }
    const said = await answer.json();
    if (!answer.ok) throw new Error(said.detail ?? String(answer.status));
    return said.id;
  }

  post(address, batch, progress, working) {
    const form = new FormData();
    for (const { file, name } of batch) form.append("files", file, name);
    const query = new URLSearchParams();
    for (const { box, sends } of this.options) {
      if (box.checked) for (const name of sends) query.set(name, "true");
    }
    return new Promise((ok, bad) => {
      const request = new XMLHttpRequest();
      this.request = request;
      request.open("POST", `${address}?${query}`);
      request.responseType = "json";
      request.upload.onprogress = (event) => progress(event.loaded);
      request.upload.onload = working;
      request.onload = () => {
        if (request.status === 200) ok(request.response);
        else bad(new Error(request.response?.detail ?? String(request.status)));
      };
      request.onerror = () => bad(new Error(this.component.data.text.no_connection));
      request.onabort = () => bad(new Error(""));
      request.send(form);
    });
  }

  report(total, problem) {
    const t = this.component.data.text;
    const box = element("div", { class: "report", role: "status", "data-testid": "upload-report" });
    if (problem) { box.classList.add("bad"); box.append(element("p", { text: problem })); }
    const say = ([one, many], n) => box.append(element("p", { text: fill(n === 1 ? one : many, { n: n.toLocaleString() }) }));
    say(t.done, total.added);
    if (total.labels.length) box.append(element("p", { text: fill(t.new_labels, { names: total.labels.join(", ") }) }));
    if (total.duplicates) say(t.duplicates, total.duplicates);
    if (total.late) say(t.late, total.late);
    const list = (words, all, texts) => {
      if (!all) return;
      const shown = texts.slice(0, LISTED);
      say(words, all);
      box.append(element("ul", {}, ...shown.map((text) => element("li", { text }))));
      if (all > shown.length) box.append(element("p", { text: fill(t.more, { n: (all - shown.length).toLocaleString() }) }));
    };
    list(t.contradicted, total.contradicted, total.other);
    const { settle } = this.component.data;
    if (total.contradicted && settle) box.append(element("p", {}, element("a", { href: settle, target: "_self", text: t.settle })));
    list(t.refused, total.refused, total.list.map((item) => item.reason));
    box.append(element("button", { type: "button", text: t.close, onclick: () => box.remove() }));
    this.status.replaceChildren(box);
  }
}

export default function (component) {
  const root = component.parentElement.querySelector(".root");
  if (root.upload && root.upload.component.data.place === component.data.place) root.upload.component = component;
  else root.upload = new Upload(root, component);
}
