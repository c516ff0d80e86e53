// Importing labelled data: choose a source, look at what would happen, start, watch. The file is sent once.
const WATCH_MS = 700;
const NOTES = 50;

class Importing {
  constructor(root, component) {
    this.root = root;
    this.component = component;
    this.data = component.data;
    const t = this.data.text;
    this.file = element("input", { type: "file", hidden: "", "data-testid": "import-file", "aria-label": t.choose, accept: ".zip,.tar,.gz,.tgz,.csv,.json,.jsonl,.parquet",
      onchange: (event) => { const [file] = event.target.files; event.target.value = ""; if (file) this.plan({ file }); } });
    this.folder = element("input", { type: "text", placeholder: t.folder_example, "aria-label": t.folder, "data-testid": "import-folder" });
    this.format = element("select", { "aria-label": t.format, title: t.format_help, "data-testid": "import-format" },
      ...[["", t.detect], ...this.data.formats.map((name) => [name, t[`format_${name}`]])].map(([value, text]) => element("option", { value, text })));
    const box = (name) => {
      const input = element("input", { type: "checkbox", "data-testid": `import-${name}` });
      input.checked = name !== "create_labels" || this.data.may_create;
      input.disabled = name === "create_labels" && !this.data.may_create;
      this[name] = input;
      return element("label", { title: t[`${name}_help`] }, input, element("span", { text: t[name] }));
    };
    this.status = element("div", { class: "status", "aria-live": "polite", "data-testid": "import-status" });
    this.past = element("div", { class: "past" });
    root.replaceChildren(
      element("div", { class: "options" }, element("label", {}, element("span", { text: t.format }), this.format), box("take_labels"), box("create_labels"), box("take_splits")),
      element("div", { class: "zone" },
        element("button", { type: "button", class: "main", text: t.choose, title: t.choose_help, onclick: () => this.file.click() }), this.file,
        ...(this.data.roots.length ? [element("span", { class: "note", text: t.or_folder }), this.folder,
          element("button", { type: "button", text: t.look, title: t.look_help, onclick: () => { if (this.folder.value.trim()) this.plan({ directory: this.folder.value.trim() }); } })] : [])),
      this.status, this.past);
    this.list();
  }

  query() {
    const values = { take_labels: this.take_labels.checked, create_labels: this.create_labels.checked, take_splits: this.take_splits.checked };
    if (this.format.value) values.format = this.format.value;
    return new URLSearchParams(values);
  }

  async ask(path, options = {}) {
    const answer = await fetch(path, options);
    const body = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(body.detail ?? this.data.text.failed);
    return body;
  }

  json(body) {
    return { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  }

  async plan(source) {
    const t = this.data.text;
    this.say(source.file ? fill(t.sending, { name: source.file.name }) : t.looking);
    try {
      let options = this.json(source);
      if (source.file) {
        const form = new FormData();
        form.append("files", source.file, source.file.name);
        options = { method: "POST", body: form };
      }
      const plan = await this.ask(`/api/theme/${this.data.theme}/imports/plan/?${this.query()}`, options);
      this.showPlan(plan, plan.upload ? { upload: plan.upload } : source);
    } catch (error) {
      this.say(error instanceof TypeError ? t.no_connection : error.message, true);
    }
  }

  say(text, bad = false) {
    this.status.replaceChildren(element("p", { class: bad ? "bad" : "", text }));
  }

  showPlan(plan, source) {
    const t = this.data.text;
    const splits = Object.entries(plan.splits).map(([split, n]) => `${split} ${n.toLocaleString()}`).join(", ");
    const lines = [
      fill(t.plan_images, { format: t[`format_${plan.format}`], images: plan.images.toLocaleString(), new: plan.new.toLocaleString(), known: plan.known.toLocaleString() }),
      fill(t.plan_labelled, { n: plan.labelled.toLocaleString(), labels: Object.keys(plan.labels).length }),
      ...(plan.new_labels.length ? [fill(this.create_labels.checked ? t.plan_new_labels : t.plan_lacking, { names: plan.new_labels.slice(0, 20).join(", ") + (plan.new_labels.length > 20 ? " …" : "") })] : []),
      ...(splits ? [fill(t.plan_splits, { splits })] : []),
    ];
    const parts = [element("h4", { text: t.plan }), element("ul", {}, ...lines.map((text) => element("li", { text })))];
    for (const [notes, total, title] of [[plan.conflicts, plan.conflicts_total, t.conflicts], [plan.problems, plan.problems_total, t.problems]]) {
      if (total) parts.push(this.notes(fill(title, { n: total.toLocaleString() }), notes, total));
    }
    const nothing = plan.new + plan.labelled === 0;
    if (nothing) parts.push(element("p", { text: t.nothing }));
    parts.push(element("div", { class: "actions" },
      element("button", { type: "button", text: t.cancel, onclick: () => this.status.replaceChildren() }),
      element("button", { type: "button", class: "main", text: t.start, "data-testid": "import-start", onclick: () => this.start(source) })));
    this.status.replaceChildren(...parts);
  }

  notes(title, notes, total) {
    const list = element("ul", {}, ...notes.slice(0, NOTES).map((note) => element("li", { text: note.reason })));
    if (total > NOTES) list.append(element("li", { text: fill(this.data.text.more, { n: (total - NOTES).toLocaleString() }) }));
    return element("details", { open: total <= 5 ? "" : null }, element("summary", { text: title }), list);
  }

  async start(source) {
    try {
      this.watch(await this.ask(`/api/theme/${this.data.theme}/imports/?${this.query()}`, this.json(source)));
    } catch (error) {
      this.say(error.message, true);
    }
  }

  async watch(found) {
    const t = this.data.text;
    for (;;) {
      this.showImport(found);
      if (found.status !== "running" || !this.root.isConnected) break;
      await new Promise((ok) => setTimeout(ok, WATCH_MS));
      found = await this.ask(`/api/imports/${found.id}/`).catch(() => found);
    }
    this.list();
    if (found.added || found.labelled) this.component.setTriggerValue("done", found.id);
  }

  showImport(found) {
    const t = this.data.text;
    const eta = found.eta_s === null ? "" : fill(t.eta, { time: found.eta_s < 90 ? `${Math.ceil(found.eta_s)} s` : `${Math.ceil(found.eta_s / 60)} min` });
    const counts = fill(t.counts, { added: found.added.toLocaleString(), labelled: found.labelled.toLocaleString(), known: found.known.toLocaleString(), refused: found.refused.toLocaleString() });
    const parts = [element("h4", { text: `${found.source}: ${t[`status_${found.status}`]}` })];
    if (found.status === "running") {
      parts.push(element("progress", { max: Math.max(1, found.total), value: found.total ? found.done : null, "aria-label": t.progress }),
        element("p", { text: `${found.total ? `${found.done.toLocaleString()} / ${found.total.toLocaleString()}` : t.looking} ${eta}` }));
    }
    parts.push(element("p", { text: counts }));
    if (found.error) parts.push(element("p", { class: "bad", text: found.error }));
    if (found.refused) parts.push(this.notes(fill(t.problems, { n: found.refused.toLocaleString() }), found.refusals, found.refused));
    const act = (verb) => async () => {
      try { this.watch(await this.ask(`/api/imports/${found.id}/${verb}/`, { method: "POST" })); } catch (error) { this.say(error.message, true); }
    };
    if (found.status === "running") parts.push(element("button", { type: "button", text: t.stop, title: t.stop_help, "data-testid": "import-stop", onclick: act("stop") }));
    if (["stopped", "failed"].includes(found.status)) parts.push(element("button", { type: "button", text: t.resume, title: t.resume_help, "data-testid": "import-resume", onclick: act("resume") }));
    this.status.replaceChildren(...parts);
  }

  async list() {
    const t = this.data.text;
    const { items } = await this.ask(`/api/theme/${this.data.theme}/imports/?limit=20`).catch(() => ({ items: [] }));
    if (!items.length) { this.past.replaceChildren(); return; }
    this.past.replaceChildren(element("h4", { text: t.past }), element("ul", {}, ...items.map((each) => element("li", {},
      element("button", { type: "button", class: "plain", text: each.source, onclick: () => this.watch(each) }),
      element("span", { class: "note", text: ` ${t[`status_${each.status}`]}, ${new Date(each.created_at).toLocaleString()}, ${each.created_by ?? "–"}: ${fill(t.counts, { added: each.added.toLocaleString(), labelled: each.labelled.toLocaleString(), known: each.known.toLocaleString(), refused: each.refused.toLocaleString() })}` })))));
    if (items[0].status === "running" && !this.status.childElementCount) this.watch(items[0]);
  }
}

export default function (component) {
  const root = component.parentElement.querySelector(".root");
  if (root.importing) root.importing.component = component;
  else root.importing = new Importing(root, component);
}
