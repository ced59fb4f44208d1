// Several photos that one decision is about: the photo that is shown, and others of its encounter or of the list.
import { byId, counted, make } from "./dom.js";

const NAMED = 4; // photos that are named

export class Selection {
  // changed(): what is selected is another. cleared(): a person wants none.
  constructor(changed, cleared) { Object.assign(this, { images: new Set(), active: false, changed, cleared }); }

  get several() { return this.active && this.images.size > 1; }

  start(images) {
    this.active = true;
    this.images = new Set(images);
    this.draw();
  }

  toggle(image) {
    if (!this.images.delete(image)) this.images.add(image);
    this.draw();
  }

  clear() {
    if (!this.active) return;
    this.active = false;
    this.images.clear();
    this.draw();
  }

  draw() {
    const images = [...this.images], named = images.slice(0, NAMED).join(", ") + (images.length > NAMED ? ", …" : "");
    byId("selection").hidden = !this.active;
    byId("selection").replaceChildren(
      make("b", {}, `${counted(images.length, "photo")} selected`), ` ${named} `,
      make("small", {}, this.several ? "What you decide now is said of all of them. " : "Click photos of the encounter or of the list to add them. "),
      make("button", { type: "button", onclick: () => this.cleared() }, make("kbd", {}, "Esc"), " select none"));
    this.changed();
  }
}
