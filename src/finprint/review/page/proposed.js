// The proposed new individuals: groups of photos, each confirmed at once.
import { get, small } from "./api.js";
import { byId, counted, make, toast } from "./dom.js";

const PAGE = 20; // groups that are built at once

export class Proposed {
  constructor(page) {
    Object.assign(this, { page, stale: true, built: 0, groups: [] });
    this.more = make("button", { type: "button", onclick: () => this.build() }, "More groups");
  }

  changed() { this.stale = true; if (!byId("proposed").hidden && !this.busy) this.show(); }

  async show() {
    if (!this.stale) return;
    this.stale = false;
    this.groups = await get("proposals");
    this.built = 0;
    byId("groups").replaceChildren(...(this.groups.length ? [] : [make("p", { class: "empty" }, "No proposed group is left to decide.")]));
    this.build();
  }

  build() {
    this.more.remove();
    byId("groups").append(...this.groups.slice(this.built, this.built + PAGE).map((group) => this.card(group)));
    this.built += PAGE;
    if (this.built < this.groups.length) byId("groups").append(this.more);
  }

  card(group) {
    const name = make("input", { value: group.to, placeholder: "a name is made", maxlength: 200, autocomplete: "off" });
    const ticks = group.photos.map((one) => make("input", { type: "checkbox", checked: true, "aria-label": `${one.image} belongs to it` }));
    const confirm = make("button", { type: "button", class: "main", onclick: async () => {
      const photos = group.photos.filter((_, number) => ticks[number].checked).map((one) => one.image);
      if (!photos.length) { toast("Tick at least one photo."); return; }
      confirm.disabled = this.busy = true;
      const told = await this.page.send("decide", { action: "new", photos, to: name.value.trim() });
      confirm.disabled = this.busy = false;
      if (told) { toast(`${told.decision.to}: a new individual with ${counted(photos.length, "photo")}. Z undoes it.`); this.stale = true; this.show(); }
    } }, "Confirm as one new individual");
    return make("section", { class: "card", "aria-label": group.name },
      make("header", {}, make("h3", {}, group.name), make("span", {}, counted(group.photos.length, "photo"), group.all > group.photos.length ? ` of ${group.all} undecided` : "")),
      make("div", { class: "tiles" }, group.photos.map((one, number) => make("div", { class: "tile" },
        make("button", { type: "button", title: "open " + one.image, onclick: () => this.page.open(one.image) }, make("img", { src: small(one.image), alt: one.image, loading: "lazy" })),
        make("label", {}, ticks[number], " ", one.image), make("small", {}, [one.date, one.viewpoint, one.encounter].filter(Boolean).join(" · "))))),
      make("footer", {}, make("label", {}, "name ", name), confirm));
  }
}
