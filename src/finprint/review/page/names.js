// Search for an individual by name, and a dialog that asks for one.
import { get, small } from "./api.js";
import { byId, counted, make } from "./dom.js";

// A text field with a list of the individuals whose names hold the text.
export class NameSearch {
  constructor(input, list, chosen) {
    Object.assign(this, { input, list, chosen, names: [], at: -1, asked: 0 });
    input.addEventListener("input", () => this.search());
    input.addEventListener("focus", () => this.search());
    input.addEventListener("blur", () => setTimeout(() => this.close(), 150));
    input.addEventListener("keydown", (event) => this.key(event));
  }

  async search() {
    const mine = ++this.asked;
    const names = await get("names", { search: this.input.value }).catch(() => []);
    if (mine !== this.asked || document.activeElement !== this.input) return;
    this.names = names;
    this.at = this.input.value.trim() && names.length ? 0 : -1;
    this.draw();
  }

  draw() {
    this.list.hidden = !this.names.length;
    this.input.setAttribute("aria-expanded", !this.list.hidden);
    this.list.replaceChildren(...this.names.map((one, number) => make("li", {
      role: "option", id: `${this.list.id}-${number}`, "aria-selected": number === this.at,
      onpointerdown: (event) => { event.preventDefault(); this.choose(one); },
    }, make("img", { src: small(one.image), alt: "" }), make("b", {}, one.name), make("small", {}, counted(one.photos, "photo")))));
    if (this.at >= 0) this.input.setAttribute("aria-activedescendant", `${this.list.id}-${this.at}`);
    else this.input.removeAttribute("aria-activedescendant");
    this.list.children[this.at]?.scrollIntoView({ block: "nearest" });
  }

  key(event) {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (by && this.names.length) {
      event.preventDefault();
      this.at = (this.at + by + this.names.length) % this.names.length;
      this.draw();
    } else if (event.key === "Enter" && this.at >= 0 && !this.list.hidden) {
      event.preventDefault();
      this.choose(this.names[this.at]);
    } else if (event.key === "Escape") this.close();
  }

  choose(one) { this.close(); this.input.value = one.name; this.chosen(one); }
  close() { this.asked++; this.list.hidden = true; this.at = -1; this.input.setAttribute("aria-expanded", "false"); }
}

// Ask for a name; null: cancelled. With `search` it is one of the individuals that are there.
export function ask({ title, text = "", label, value = "", search = false, ok = "OK" }) {
  const dialog = byId("ask"), form = dialog.querySelector("form"), list = dialog.querySelector("ul");
  const fresh = dialog.querySelector("input").cloneNode();
  dialog.querySelector("input").replaceWith(fresh);
  byId("ask-title").textContent = title;
  form.querySelector("p").textContent = text;
  form.querySelector("label span").textContent = label;
  form.querySelector("[type=submit]").textContent = ok;
  fresh.value = value;
  list.hidden = true;
  list.replaceChildren();
  list.id = "ask-names";
  if (search) new NameSearch(fresh, list, () => {});
  return new Promise((resolve) => {
    let answer = null;
    form.onsubmit = () => { answer = fresh.value.trim(); };
    dialog.onclose = () => resolve(answer);
    dialog.showModal();
    fresh.focus();
    fresh.select();
  });
}
