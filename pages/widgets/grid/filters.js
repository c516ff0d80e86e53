// What is shown and in which order. Every part of it lives in the address of the page, so it can be sent to others.
const FILTER_NAMES = ["state", "label", "split", "by", "flagged", "suggested", "confidence_from", "confidence_to",
  "import", "since", "until", "at", "finding", "picked", "name", "sort", "like", "batch"];
const ORDERS = ["newest", "oldest", "name", "uncertain", "teach", "sweep", "suspicious"];

class Filters {
  constructor(onChange) {
    this.onChange = onChange;
    this.values = {};
    const query = new URLSearchParams(location.search);
    for (const name of FILTER_NAMES) if (query.get(name)) this.values[name] = query.get(name);
    this.bar = element("div", { class: "bar", role: "group" });
    this.fields = element("div", { class: "fields", hidden: "" });
    this.chips = element("div", { class: "bar chips", hidden: "" });
  }

  get(name) { return this.values[name] ?? ""; }
  get sort() { return this.values.sort ?? "newest"; }
  get narrows() { return FILTER_NAMES.some((name) => !["sort", "like", "batch"].includes(name) && this.values[name]); }
  query() { return new URLSearchParams(this.values); }

  set(changes) {
    const day = this.get("at");
    for (const [name, value] of Object.entries(changes)) {
      if (value) this.values[name] = String(value);
      else delete this.values[name];
    }
    if (this.values.state === "all") delete this.values.state;
    if (this.values.sort === "newest") delete this.values.sort;
    if (this.values.sort !== "similar") delete this.values.like;
    if (this.values.sort === "finding" && !this.values.finding) delete this.values.sort;
    const url = new URL(location.href);
    for (const name of FILTER_NAMES) {
      if (this.values[name]) url.searchParams.set(name, this.values[name]);
      else url.searchParams.delete(name);
    }
    // The past is another page: nothing can be changed there, and the counts are other ones.
    if ((this.values.at ?? "") !== day) { location.assign(url); return; }
    history.replaceState(history.state, "", url);
    this.draw();
    this.onChange();
  }

  // Built anew only when labels, people or language changed; otherwise numbers and states are put in place.
  build(data) {
    this.data = data;
    const t = data.text;
    this.bar.setAttribute("aria-label", t.filters);
    this.states = ["all", "unlabelled", "labelled"].map((state) => element("button", {
      type: "button", class: "chip", "data-testid": `state-${state}`, "data-state": state,
      onclick: () => this.set({ state, label: state === "unlabelled" ? "" : this.get("label") }),
    }, element("span", { text: t[state] }), element("span", { class: "n" })));
    this.label = this.select("label", t.filter_label, [["", t.any_label], ...data.labels.map((l) => [l.id, l.name])],
      (value) => this.set({ label: value, state: value && this.get("state") === "unlabelled" ? "" : this.get("state") }));
    this.split = this.select("split", t.filter_split, [["", t.any_split], ...["train", "valid", "test", "none"].map((s) => [s, t[s]])]);
    this.order = this.select("sort", t.sort, [...ORDERS, "finding", "similar"].map((order) => [order, t[`sort_${order}`]]));
    this.order.lastChild.hidden = true; // chosen by “find similar”, which says similar to what
    this.name = element("input", { type: "search", placeholder: t.name, "aria-label": t.name, "data-testid": "filter-name", maxlength: 200 });
    this.name.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.set({ name: this.name.value.trim() }), 300);
    });
    this.size = element("select", { "aria-label": t.tile_size, title: t.tile_size, "data-testid": "tile-size" },
      ...Object.keys(SIZES).map((size) => element("option", { value: size, text: t[`size_${size}`] })));
    const field = (text, ...parts) => element("label", { class: "field" }, element("span", { text }), ...parts);
    const input = (name, type, extra = {}) => element("input", {
      type, "data-filter": name, "aria-label": t[`filter_${name}`], onchange: (event) => this.set({ [name]: event.target.value }), ...extra,
    });
    const share = { min: 0, max: 1, step: 0.01, placeholder: "0–1" };
    this.more = element("button", {
      type: "button", class: "chip", text: t.more_filters, "aria-expanded": "false", "data-testid": "more-filters",
      onclick: () => { this.fields.hidden = !this.fields.hidden; this.more.setAttribute("aria-expanded", String(!this.fields.hidden)); },
    });
    this.fields.replaceChildren(
      field(t.filter_by, this.select("by", t.filter_by, [["", t.anybody], ...data.people.map((p) => [p.id, p.name])])),
      field(t.filter_flagged, this.select("flagged", t.filter_flagged, [["", t.either], ["yes", t.flagged_yes], ["no", t.flagged_no]])),
      field(t.filter_suggested, this.select("suggested", t.filter_suggested, [["", t.any_label], ...data.labels.map((l) => [l.id, l.name])])),
      field(t.filter_confidence_from, input("confidence_from", "number", share)),
      field(t.filter_confidence_to, input("confidence_to", "number", share)),
      field(t.filter_import, this.select("import", t.filter_import, [["", t.any_import], ...data.imports.map((i) => [i.id, i.name])])),
      field(t.filter_finding, this.select("finding", t.filter_finding, [["", t.any_finding], ...data.findings.map((f) => [f.id, f.name])],
        (value) => this.set({ finding: value, sort: value ? "finding" : "" }))),
      field(t.filter_since, input("since", "date")),
      field(t.filter_until, input("until", "date")),
    );
    this.bar.replaceChildren(...this.states, this.label, this.split, this.name, this.order, this.more);
    this.draw();
  }

  select(name, title, options, onchange = null) {
    return element("select", {
      "data-filter": name, "aria-label": title, title, "data-testid": `filter-${name}`,
      onchange: (event) => (onchange ? onchange(event.target.value) : this.set({ [name]: event.target.value })),
    }, ...options.map(([value, text]) => element("option", { value, text })));
  }

  // Puts values into the controls, and names each active one that hides under “more” or has no control.
  draw() {
    const t = this.data.text;
    for (const chip of this.states) chip.setAttribute("aria-pressed", String((this.values.state ?? "all") === chip.dataset.state));
    for (const control of [...this.bar.querySelectorAll("[data-filter]"), ...this.fields.querySelectorAll("[data-filter]")]) {
      const value = control.dataset.filter === "sort" ? this.sort : this.get(control.dataset.filter);
      if (control.value !== value) control.value = value;
    }
    if (document.activeElement !== this.name && this.name.value !== this.get("name")) this.name.value = this.get("name");
    this.order.lastChild.previousSibling.hidden = !this.values.finding;
    const nameOf = (list, id) => list.find((each) => String(each.id) === id)?.name ?? id;
    const says = {
      by: (v) => `${t.filter_by}: ${nameOf(this.data.people, v)}`,
      flagged: (v) => (v === "yes" ? t.flagged_yes : t.flagged_no),
      suggested: (v) => `${t.filter_suggested}: ${nameOf(this.data.labels, v)}`,
      confidence_from: (v) => `${t.filter_confidence_from} ${v}`,
      confidence_to: (v) => `${t.filter_confidence_to} ${v}`,
      import: (v) => `${t.filter_import}: ${nameOf(this.data.imports, v)}`,
      since: (v) => `${t.filter_since} ${v}`,
      until: (v) => `${t.filter_until} ${v}`,
      finding: (v) => nameOf(this.data.findings, v),
      picked: () => t.picked_on_map,
      at: (v) => fill(t.as_it_was, { day: v }),
      batch: () => t.my_batch_on,
      like: (v) => fill(t.similar_to, { id: v }),
    };
    const active = Object.keys(says).filter((name) => this.values[name]);
    this.chips.hidden = !active.length;
    this.chips.replaceChildren(...active.map((name) => element("button", {
      type: "button", class: "chip on", "data-testid": `active-${name}`, title: t.remove_filter,
      onclick: () => this.set(["like", "finding"].includes(name) ? { [name]: "", sort: "" } : { [name]: "" }),
    }, element("span", { class: "name", text: says[name](this.values[name]) }), element("span", { text: "✕", "aria-hidden": "true" }))));
    if (active.length > 1) {
      this.chips.append(element("button", { type: "button", class: "chip", text: t.clear_filters, onclick: () => this.set(Object.fromEntries(FILTER_NAMES.map((n) => [n, ""]))) }));
    }
  }

  count(counts) {
    const numbers = { all: counts.total, unlabelled: counts.unlabelled, labelled: counts.labelled };
    for (const chip of this.states) chip.querySelector(".n").textContent = numbers[chip.dataset.state].toLocaleString();
    this.data.labels.forEach((label, index) => {
      this.label.options[index + 1].textContent = `${label.name} (${(counts.by_label[label.id] ?? 0).toLocaleString()})`;
    });
    ["train", "valid", "test", "none"].forEach((split, index) => {
      this.split.options[index + 1].textContent = `${this.data.text[split]} (${(counts.by_split[split] ?? 0).toLocaleString()})`;
    });
  }
}
