// The labels with their keys, colours and counts; a click or a key gives a label to what is selected.
const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "0"];
const SHOWN_LABELS = 30;
const FOUND_LABELS = 8;

class Palette {
  constructor(onLabel) {
    this.onLabel = onLabel;
    this.box = element("div", { class: "bar palette", role: "group", "data-testid": "palette" });
  }

  // Drawn once for a set of labels, so that a press that is under way still meets the button it began on.
  build(data) {
    this.data = data;
    this.counts = {};
    const t = data.text;
    this.box.setAttribute("aria-label", t.palette);
    if (!data.labels.length) {
      this.box.replaceChildren(element("p", { class: "note", text: t.no_labels }));
      return;
    }
    const parts = data.labels.slice(0, SHOWN_LABELS).map((label, index) => this.chip(label, KEYS[index]));
    if (data.may_label) {
      parts.push(element("button", {
        type: "button", class: "chip", "data-testid": "palette-clear", title: t.clear_help, onclick: () => this.onLabel(null),
      }, element("kbd", { text: "U" }), element("span", { class: "name", text: t.clear })));
    }
    if (data.may_label && data.labels.length > KEYS.length) parts.push(this.finder());
    this.box.replaceChildren(...parts);
  }

  chip(label, key) {
    const may = this.data.may_label;
    const chip = element("button", {
      type: "button", class: "chip", title: label.name, "data-testid": "palette-label", "data-label": label.id,
      disabled: may ? null : "", onclick: () => this.onLabel(label.id),
    });
    if (may && key) chip.append(element("kbd", { text: key }));
    chip.append(dotOf(label), element("span", { class: "name", text: label.name }),
      element("span", { class: "n", text: this.counts[label.id] ?? 0 }));
    return chip;
  }

  // Typed search for themes with more labels than keys: type a part, arrows choose, Enter gives.
  finder() {
    const t = this.data.text;
    const list = element("div", { class: "found", hidden: "", role: "listbox", id: newId(), "aria-label": t.find_label });
    this.input = element("input", { type: "search", placeholder: t.find_label, "aria-label": t.find_label, "data-testid": "find-label", title: t.find_label_help,
      role: "combobox", "aria-controls": list.id, "aria-expanded": "false", "aria-autocomplete": "list", autocomplete: "off" });
    let found = [];
    let at = 0;
    const draw = () => {
      list.hidden = !found.length;
      this.input.setAttribute("aria-expanded", String(!list.hidden));
      list.replaceChildren(...found.map((label, n) => element("button", {
        type: "button", role: "option", class: "chip", id: `${list.id}-${n}`, tabindex: "-1", "aria-selected": String(n === at), onclick: () => give(label),
      }, dotOf(label), element("span", { class: "name", text: label.name }))));
      if (found.length) this.input.setAttribute("aria-activedescendant", `${list.id}-${at}`);
      else this.input.removeAttribute("aria-activedescendant");
    };
    const search = () => {
      const word = this.input.value.trim().toLocaleLowerCase();
      const place = (label) => label.name.toLocaleLowerCase().indexOf(word);
      found = word ? this.data.labels.filter((label) => place(label) >= 0) : [];
      found = found.sort((a, b) => place(a) - place(b) || a.name.length - b.name.length).slice(0, FOUND_LABELS);
      at = 0;
      draw();
    };
    const leave = () => {
      this.input.value = "";
      search();
      this.onLeave();
    };
    const give = (label) => {
      leave(); // the next key acts on the images again
      this.onLabel(label.id);
    };
    this.input.addEventListener("input", search);
    this.input.addEventListener("keydown", (event) => {
      event.stopPropagation();
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step && found.length) { event.preventDefault(); at = (at + step + found.length) % found.length; draw(); }
      if (event.key === "Enter" && found.length) give(found[at]);
      if (event.key === "Escape") { event.preventDefault(); leave(); }
    });
    return element("span", { class: "finder" }, element("kbd", { text: "/" }), this.input, list);
  }

  count(counts) {
    this.counts = counts.by_label;
    for (const chip of this.box.querySelectorAll("[data-label]")) {
      chip.querySelector(".n").textContent = (this.counts[chip.dataset.label] ?? 0).toLocaleString();
    }
  }
}

function dotOf(label) {
  const dot = element("span", { class: "dot" });
  dot.style.background = label.color;
  return dot;
}
