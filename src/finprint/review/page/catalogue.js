// The catalogue: all individuals, the photos of one, and what a person can mend: merge, split, rename, move, grade.
import { get, picture, small } from "./api.js";
import { byId, counted, make, toast } from "./dom.js";
import { VirtualList } from "./list.js";
import { ask } from "./names.js";
import { View, Viewer } from "./viewer.js";

const CHUNK = 100; // individuals that are asked for at once
const ROW = 56; // px
const TILES = 200; // photos that are built at once

export class Catalogue {
  constructor(page) {
    Object.assign(this, { page, chunks: new Map(), name: "", photos: [], chosen: new Set(), stale: true, asked: 0 });
    this.form = byId("catalogue-filters");
    this.list = new VirtualList(byId("rows"), ROW, (index) => this.row(index), (index) => this.openRow(index));
    this.form.addEventListener("input", () => this.reload());
    this.form.addEventListener("submit", (event) => event.preventDefault());
    byId("drop-one").addEventListener("click", () => { byId("large").close(); this.drop(this.large); });
    for (const kind of ["distinctiveness", "quality"]) {
      byId("large").querySelector(`[data-grade=${kind}]`).append(...[1, 2, 3].map((value) => make("label", {},
        make("input", { type: "radio", name: "large-" + kind, value, onchange: () => this.grade(kind, value) }), String(value))));
    }
  }

  changed() {
    this.stale = true;
    if (!byId("catalogue").hidden) this.show();
  }

  async show() {
    if (!this.stale) return;
    this.stale = false;
    await this.reload();
    if (this.name) await this.open(this.name);
  }

  async reload() {
    this.chunks.clear();
    const mine = ++this.asked;
    const told = await this.fetch(0);
    if (mine !== this.asked) return;
    this.chunks.set(0, told.rows);
    byId("individuals").textContent = counted(told.individuals, "individual") + (told.dated ? "" : "; dates are still being read");
    this.list.show(told.individuals, told.rows.findIndex((row) => row.name === this.name));
  }

  fetch(chunk) {
    const { search, by } = this.form.elements;
    return get("catalogue", { search: search.value, by: by.value, start: chunk * CHUNK, count: CHUNK });
  }

  at(index) {
    const chunk = Math.floor(index / CHUNK);
    const rows = this.chunks.get(chunk);
    if (rows === undefined) {
      const mine = this.asked;
      this.chunks.set(chunk, null);
      this.fetch(chunk).then((told) => {
        if (mine !== this.asked) return;
        this.chunks.set(chunk, told.rows);
        for (let row = chunk * CHUNK; row < (chunk + 1) * CHUNK; row++) this.list.redraw(row);
      }).catch(() => this.chunks.delete(chunk));
    }
    return rows?.[index % CHUNK];
  }

  row(index) {
    const one = this.at(index);
    if (!one) return make("div", { class: "row" }, "…");
    const seen = one.first && one.first !== one.last ? `${one.first} to ${one.last}` : one.last;
    return make("div", { class: "row" }, make("img", { src: small(one.image), alt: "", loading: "lazy" }),
      make("span", { class: "text" }, make("b", {}, one.name), make("small", {}, [one.species, seen, one.sides.join(", ")].filter(Boolean).join(" · "))),
      make("span", { class: "verdict" }, make("div", {}, counted(one.photos, "photo")), one.encounters ? make("div", {}, counted(one.encounters, "encounter")) : ""));
  }

  openRow(index) {
    this.list.choose(index);
    const one = this.at(index);
    if (one) this.open(one.name);
  }

  async open(name) {
    const mine = this.opening = Symbol(name);
    if (name !== this.name) this.chosen.clear();
    this.name = name; // at once: what reloads meanwhile opens this one again
    try {
      const told = await get("individual", { name });
      if (mine !== this.opening) return;
      this.name = told.name;
      this.photos = told.photos;
      this.draw();
    } catch (error) {
      if (mine !== this.opening) return;
      this.name = "";
      byId("individual").replaceChildren(make("p", { class: "empty" }, error.message));
    }
  }

  draw() {
    const encounters = new Map();
    for (const one of this.photos.slice(0, TILES)) {
      if (!encounters.has(one.encounter)) encounters.set(one.encounter, []);
      encounters.get(one.encounter).push(one);
    }
    const dates = this.photos.map((one) => one.date.slice(0, 10)).filter(Boolean).sort();
    const facts = [counted(this.photos.length, "photo"), encounters.size > 1 || !encounters.has("") ? counted([...encounters.keys()].filter(Boolean).length, "encounter") : "",
      dates.length ? `first seen ${dates[0]}, last ${dates.at(-1)}` : ""].filter(Boolean).join(" · ");
    const button = (text, action, id) => make("button", { type: "button", id, onclick: action }, text);
    const all = button("Tick all", () => this.tickAll(), "tick-all");
    this.some = [button("Split off as a new individual…", () => this.split(), "split"), button("Move to another individual…", () => this.move(), "move"),
      button("Do not use", () => this.drop(), "drop"), button("Compare two", () => this.compare(), "compare")];
    byId("individual").replaceChildren(
      make("header", {}, make("h2", {}, this.name), make("span", {}, facts)),
      make("div", { class: "actions", role: "group", "aria-label": "The individual" }, button("Rename…", () => this.rename(), "rename"), button("Merge into…", () => this.merge(), "merge")),
      make("div", { class: "actions", role: "group", "aria-label": "The photos that are ticked" }, make("span", { id: "ticked", role: "status" }), all, this.some),
      ...[...encounters].map(([encounter, photos]) => make("section", {}, make("h3", {}, encounter ? "Encounter " + encounter : encounters.size > 1 ? "No encounter told" : "", " ", make("small", {}, counted(photos.length, "photo")),
        encounters.size > 1 ? make("button", { type: "button", class: "tick", onclick: () => this.tickAll(photos) }, "tick these") : ""),
        make("div", { class: "tiles" }, photos.map((one) => this.tile(one))))),
      this.photos.length > TILES ? make("p", {}, `The ${TILES} latest of ${this.photos.length} photos are shown.`) : "");
    this.ticked();
  }

  tile(one) {
    const tick = make("input", { type: "checkbox", checked: this.chosen.has(one.image), "aria-label": "choose " + one.image, onchange: () => {
      if (tick.checked) this.chosen.add(one.image); else this.chosen.delete(one.image);
      this.ticked();
    } });
    const grade = one.grade?.some(Boolean) ? ` · grades ${one.grade.map((value) => value ?? "–").join(", ")}` : "";
    return make("div", { class: "tile" + (one.asked ? " decided" : "") },
      make("button", { type: "button", title: "enlarge", onclick: () => this.enlarge([one]) }, make("img", { src: small(one.image), alt: one.image, loading: "lazy" })),
      make("label", {}, tick, " ", one.image),
      make("small", {}, [one.date, one.viewpoint].filter(Boolean).join(" · ") + grade),
      one.stands ? make("small", {}, `${one.stands[0]} by ${one.stands[2]}`) : "");
  }

  ticked() {
    const count = this.chosen.size;
    byId("ticked").textContent = count ? `${counted(count, "photo")} ticked:` : "Tick photos to split or move them.";
    const [split, move, drop, compare] = this.some;
    split.disabled = move.disabled = drop.disabled = !count;
    compare.disabled = count !== 2;
  }

  async send(given, said) {
    const told = await this.page.send("decide", given);
    if (!told) return false;
    this.chosen.clear();
    toast(`${said} Z undoes it.`);
    this.page.refresh();
    return told;
  }

  async rename() {
    const before = this.name;
    const to = await ask({ title: `Rename ${before}`, label: "new name", value: before, ok: "Rename" });
    if (!to || to === before) return;
    if (await this.send({ action: "rename", individual: before, to }, `${before} is ${to} now.`)) await this.open(to);
  }

  async merge() {
    const before = this.name;
    const to = await ask({ title: `Merge ${before} into another individual`, text: `All photos of ${before} become photos of the other one.`, label: "other individual", search: true, ok: "Merge" });
    if (!to) return;
    if (await this.send({ action: "merge", individual: before, to }, `${before} is part of ${to} now.`)) await this.open(to);
  }

  async split() {
    const photos = [...this.chosen], before = this.name;
    const to = await ask({ title: `Split ${counted(photos.length, "photo")} off ${before}`, text: "They become photos of a new individual. Without a name one is made.", label: "its name", ok: "Split" });
    if (to === null) return;
    const told = await this.send({ action: "split", individual: before, photos, to }, `${counted(photos.length, "photo")} split off ${before}.`);
    if (told) await this.open(told.decision.to);
  }

  async move() {
    const photos = this.photos.filter((one) => this.chosen.has(one.image));
    const to = await ask({ title: `Move ${counted(photos.length, "photo")} to another individual`, label: "other individual", search: true, ok: "Move" });
    if (!to) return;
    for (const one of photos) { // one line of the log a photo: a labelled photo is corrected, one to identify is confirmed
      if (!await this.send({ action: one.asked ? "confirm" : "relabel", photo: one.image, to }, `${one.image} shows ${to} now.`)) return;
    }
  }

  // Tick these photos, or untick them where all are ticked.
  tickAll(photos = this.photos.slice(0, TILES)) {
    const every = photos.every((one) => this.chosen.has(one.image));
    for (const one of photos) { if (every) this.chosen.delete(one.image); else this.chosen.add(one.image); }
    this.draw();
  }

  // A labelled photo is not used any more; one to identify, which was confirmed, is not usable.
  async drop(photos = this.photos.filter((one) => this.chosen.has(one.image))) {
    for (const one of photos) {
      if (!await this.send({ action: one.asked ? "unusable" : "drop", photo: one.image }, `${one.image} is not used.`)) return;
    }
  }

  // A key in the catalogue; true: it meant something.
  key(name) {
    if (!this.name) return false;
    if (name === "a") { this.tickAll(); return true; }
    const action = { s: () => this.split(), v: () => this.move(), x: () => this.drop() }[name];
    if (!action) return false;
    if (this.chosen.size) action(); else toast("Tick photos first (A: all).");
    return true;
  }

  compare() { this.enlarge(this.photos.filter((one) => this.chosen.has(one.image))); }

  // One photo, or two side by side, in a dialog.
  enlarge(photos) {
    const dialog = byId("large"), view = new View();
    this.large = photos;
    byId("large-title").textContent = photos.map((one) => one.image).join(" and ");
    byId("large-pair").replaceChildren();
    for (const one of photos) {
      const root = make("figure", { class: "viewer" },
        make("figcaption", {}, make("b", { class: "name" }, one.individual || one.image), " ", make("span", { class: "about" }, [one.image, one.date, one.viewpoint].filter(Boolean).join(" · "))),
        make("div", { class: "stage", tabindex: "0", role: "img", "aria-label": one.image }), make("div", { class: "tools" }));
      byId("large-pair").append(root);
      const viewer = new Viewer(root, view);
      root.querySelector(".tools").append(...viewer.tools(""));
      viewer.show(picture(one.image, "crop"), small(one.image));
    }
    dialog.querySelector("footer").hidden = photos.length !== 1;
    byId("drop-one").hidden = photos[0].asked;
    this.drawGrade();
    dialog.showModal();
  }

  drawGrade() {
    for (const [index, kind] of ["distinctiveness", "quality"].entries()) {
      for (const input of byId("large").querySelectorAll(`[data-grade=${kind}] input`)) input.checked = this.large[0].grade?.[index] === +input.value;
    }
  }

  async grade(kind, value) {
    const one = this.large[0];
    if (!await this.page.send("decide", { action: "grade", photo: one.image, [kind]: value })) { this.drawGrade(); return; }
    one.grade = ["distinctiveness", "quality"].map((name, index) => (name === kind ? value : one.grade?.[index] ?? null));
  }
}
