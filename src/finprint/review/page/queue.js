// The list of photos to identify: filters, order, and which photo comes next. What is set stands in the address.
import { small } from "./api.js";
import { byId, make, percent } from "./dom.js";
import { VirtualList } from "./list.js";

const FIELDS = ["search", "status", "order", "encounter", "viewpoint", "species", "place", "min", "max"];
const CHOICES = { viewpoint: "all sides", species: "all species", place: "all places" };
const SHORT = { unsure: "unsure", unusable: "not usable" };
const ROW = 60; // px

export class Queue {
  constructor(all, opened, view) {
    Object.assign(this, { all, opened, view, shown: [], at: -1, image: "" });
    this.form = byId("filters");
    this.list = new VirtualList(byId("list"), ROW, (index) => this.row(index), (index, clicked) => opened(all.images[this.shown[index]], clicked));
    this.images = new Set(); // those that are selected
    this.form.addEventListener("input", () => this.filter());
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("reset", () => setTimeout(() => this.filter()));
    const toggle = byId("queue-toggle");
    toggle.addEventListener("click", () => this.unfold(toggle.getAttribute("aria-expanded") !== "true"));
    addEventListener("hashchange", () => { const at = this.read(); if (at.image && at.image !== this.image) opened(at.image); });
  }

  unfold(open) {
    byId("queue-toggle").setAttribute("aria-expanded", open);
    byId("queue").classList.toggle("open", open);
    this.list.draw();
  }

  // Fill the choices, set what the address says, and list; returns where the address leads.
  start() {
    const { columns } = this.all;
    for (const [name, any] of Object.entries(CHOICES)) {
      const field = this.form.elements[name];
      field.append(make("option", { value: "" }, any), ...columns[name].names.map((value) => make("option", { value: value || "-" }, value || "not told")));
      field.closest("label").hidden = columns[name].names.length < 2;
    }
    const encounters = columns.encounter.names.filter(Boolean);
    byId("encounters").append(...encounters.slice(0, 2000).map((value) => make("option", { value })));
    this.form.elements.encounter.closest("label").hidden = !encounters.length;
    if (this.all.probabilities.every((one) => one === null)) for (const name of ["min", "max"]) this.form.elements[name].closest("label").hidden = true;
    const at = this.read();
    this.filter(false);
    return at;
  }

  read() {
    const set = new URLSearchParams(location.hash.slice(1));
    for (const name of FIELDS) this.form.elements[name].value = set.get(name) ?? "";
    const image = set.get("photo");
    return { image: this.all.index?.has(image) ? image : undefined, view: set.get("view") ?? "photos" };
  }

  remember(image = this.image) {
    this.image = image;
    const set = FIELDS.map((name) => [name, this.form.elements[name].value]).filter(([, value]) => value);
    if (this.view() !== "photos") set.push(["view", this.view()]);
    if (image) set.push(["photo", image]);
    history.replaceState(null, "", "#" + new URLSearchParams(set));
  }

  value(name, number) {
    const { names, codes } = this.all.columns[name];
    return names[codes[number]];
  }

  status(number) { return this.all.stands[this.all.images[number]]?.[0] ?? "undecided"; }

  passes(number, wanted) {
    const share = this.all.probabilities[number];
    if (wanted.status && this.status(number) !== wanted.status) return false;
    for (const name of ["viewpoint", "species", "place"]) {
      if (wanted[name] && this.value(name, number) !== (wanted[name] === "-" ? "" : wanted[name])) return false;
    }
    if (wanted.encounter && this.value("encounter", number) !== wanted.encounter) return false;
    if (wanted.min && !(share !== null && 100 * share >= +wanted.min)) return false;
    if (wanted.max && !(share !== null && 100 * share <= +wanted.max)) return false;
    if (!wanted.search) return true;
    const { names, codes } = this.all.answered, image = this.all.images[number];
    return [image, names[codes[number]], this.all.stands[image]?.[1] ?? ""].some((text) => text.toLowerCase().includes(wanted.search));
  }

  filter(told = true) {
    const wanted = Object.fromEntries(FIELDS.map((name) => [name, this.form.elements[name].value]));
    wanted.search = wanted.search.trim().toLowerCase();
    const share = (number) => this.all.probabilities[number] ?? -1;
    const by = (text) => (a, b) => (text(a) < text(b) ? -1 : text(a) > text(b) ? 1 : a - b);
    const orders = {
      "": (a, b) => share(b) - share(a) || a - b, unsure: (a, b) => share(a) - share(b) || a - b, name: by((number) => this.all.images[number]),
      date: by((number) => this.all.dates[number] || "9999"), encounter: by((number) => this.value("encounter", number) || "\uffff"),
    };
    this.shown = this.all.images.map((_, number) => number).filter((number) => this.passes(number, wanted)).sort(orders[wanted.order]);
    this.at = this.shown.indexOf(this.all.index.get(this.image));
    this.list.show(this.shown.length, this.at);
    this.tell();
    if (told) this.remember();
  }

  tell() {
    const left = this.shown.filter((number) => this.status(number) === "undecided").length;
    byId("count").textContent = `${this.shown.length} of ${this.all.images.length} photos listed, ${left} undecided`;
  }

  row(index) {
    const number = this.shown[index], image = this.all.images[number], stands = this.all.stands[image], share = this.all.probabilities[number];
    const { names, codes } = this.all.answered;
    const verdict = stands ? make("span", { class: "verdict " + stands[0] }, SHORT[stands[0]] ?? stands[1])
      : make("span", { class: "verdict" }, share === null ? "" : percent(share));
    const first = names[codes[number]] === "new_individual" ? "new individual?" : names[codes[number]] + "?";
    const where = [this.value("encounter", number), this.value("viewpoint", number)].filter(Boolean).join(" · ");
    return make("div", { class: "row" + (stands ? " done" : "") + (this.images.has(image) ? " picked" : "") }, make("img", { src: small(image), alt: "", loading: "lazy" }),
      make("span", { class: "text" }, make("b", {}, image), make("small", {}, stands ? where : [first, where].filter(Boolean).join(" · "))), verdict);
  }

  choose(image) {
    this.image = image;
    this.at = this.shown.indexOf(this.all.index.get(image));
    this.list.choose(this.at);
    if (byId("queue").classList.contains("open")) this.unfold(false);
  }

  // Decisions have changed: of these photos, or of any (null). A photo stays listed until the filters change.
  changed(images) {
    if (images === null) this.list.show(this.shown.length, this.at);
    else for (const image of images) {
      const index = this.shown.indexOf(this.all.index.get(image));
      if (index >= 0) this.list.redraw(index);
    }
    this.tell();
  }

  // Other photos are selected.
  picked(images) {
    const other = [...this.images, ...images].filter((image) => this.images.has(image) !== images.has(image));
    this.images = new Set(images);
    for (const image of other) {
      const index = this.shown.indexOf(this.all.index.get(image));
      if (index >= 0) this.list.redraw(index);
    }
  }

  first() { const number = this.shown.find((one) => this.status(one) === "undecided") ?? this.shown[0] ?? 0; return this.all.images[number]; }

  by(image, by) {
    const at = this.shown.indexOf(this.all.index.get(image));
    const number = at < 0 ? this.shown[by > 0 ? 0 : this.shown.length - 1] : this.shown[at + by];
    return number === undefined ? null : this.all.images[number];
  }

  after(image, count) {
    const at = this.shown.indexOf(this.all.index.get(image));
    return this.shown.slice(at + 1, at + 1 + count).map((number) => this.all.images[number]);
  }

  // The next undecided photo of the list, from the start again after its end; null: none is left.
  nextUndecided(image) {
    const at = this.shown.indexOf(this.all.index.get(image));
    const round = [...this.shown.slice(at + 1), ...this.shown.slice(0, Math.max(0, at))];
    const number = round.find((one) => this.status(one) === "undecided" && this.all.images[one] !== image);
    return number === undefined ? null : this.all.images[number];
  }
}
