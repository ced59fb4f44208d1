// A picture that can be zoomed, moved, mirrored, and made brighter; two of them move in step.
import { make } from "./dom.js";
import { fetched } from "./api.js";

const MOST = 40; // times that a picture can be enlarged

// What two viewers share: how far the picture is enlarged, and by what share of the stage it is moved.
export class View {
  constructor() { this.viewers = []; this.reset(); }
  reset() { Object.assign(this, { scale: 1, x: 0, y: 0 }); this.moved(); }
  moved() { for (const viewer of this.viewers ?? []) viewer.place(); }

  // Enlarge by a factor about a place: shares of the stage from its middle.
  zoom(factor, x = 0, y = 0) {
    const scale = Math.min(MOST, Math.max(1, this.scale * factor));
    const by = scale / this.scale;
    Object.assign(this, { scale, x: x + (this.x - x) * by, y: y + (this.y - y) * by });
    if (scale === 1) Object.assign(this, { x: 0, y: 0 });
    this.moved();
  }

  pan(x, y) {
    const most = (this.scale - 1) / 2 + 0.25;
    this.x = Math.min(most, Math.max(-most, this.x + x));
    this.y = Math.min(most, Math.max(-most, this.y + y));
    this.moved();
  }
}

export class Viewer {
  // after(): the picture has moved or changed.
  constructor(root, view, after = () => {}) {
    Object.assign(this, { root, view, after, flipped: false, light: { brightness: 1, contrast: 1 }, address: "", size: [1, 1] });
    this.stage = root.querySelector(".stage");
    this.image = make("img", { alt: "", draggable: "false" });
    this.heat = make("img", { alt: "", class: "heat", draggable: "false", hidden: true });
    this.note = make("p", { class: "note", role: "status", hidden: true });
    this.stage.append(make("div", { class: "layer" }, this.image, this.heat), this.note);
    this.layer = this.stage.firstChild;
    view.viewers.push(this);
    new ResizeObserver(() => this.place()).observe(this.stage);
    this.pointers = new Map();
    this.drag = null; // takes the pointer instead of the view: see box.js
    for (const name of ["pointerdown", "pointermove", "pointerup", "pointercancel"]) {
      this.stage.addEventListener(name, (event) => this.pointer(event));
    }
    this.stage.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.view.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)), ...this.share(event));
    }, { passive: false });
    this.stage.addEventListener("dblclick", (event) => {
      if (this.drag) return;
      if (this.view.scale > 1.01) this.view.reset(); else this.view.zoom(3, ...this.share(event));
    });
  }

  // Sliders for brightness and contrast, and a button that mirrors.
  tools(key) {
    const slider = (name) => make("label", {}, name + " ", make("input", {
      type: "range", min: "0.3", max: "3", step: "0.05", value: "1", "aria-label": name,
      oninput: (event) => { this.light[name] = +event.target.value; this.place(); },
    }));
    this.flipButton = make("button", { type: "button", "aria-pressed": "false", title: `mirror (${key})`, onclick: () => this.flip() }, "⇋ Mirror");
    const reset = make("button", { type: "button", onclick: () => {
      this.light = { brightness: 1, contrast: 1 };
      for (const input of this.root.querySelectorAll("input[type=range]")) input.value = "1";
      this.place();
    } }, "Reset light");
    return [this.flipButton, make("details", { class: "light" }, make("summary", {}, "Light"), make("div", {}, slider("brightness"), slider("contrast"), reset))];
  }

  flip(to = !this.flipped) {
    this.flipped = to;
    this.flipButton?.setAttribute("aria-pressed", to);
    this.place();
  }

  // Show a picture: first the small one, then the large one, as soon as it is there.
  async show(address, preview, size) {
    this.heat.hidden = true;
    this.loading?.abort();
    const loading = this.loading = new AbortController();
    this.address = address;
    this.stage.classList.remove("empty");
    this.stage.setAttribute("aria-busy", "true");
    this.tell("");
    if (size) this.size = size;
    this.set(preview);
    try {
      const { blob, note } = await loaded(address, loading.signal);
      if (this.loading !== loading) return;
      const url = URL.createObjectURL(blob);
      const whole = new Image();
      whole.src = url;
      await whole.decode();
      if (this.loading !== loading) { URL.revokeObjectURL(url); return; }
      this.size = [whole.naturalWidth, whole.naturalHeight];
      this.set(url);
      this.tell(note);
    } catch (error) {
      if (error.name === "AbortError" || this.loading !== loading) return;
      this.tell(error.message || "The picture cannot be shown.");
    } finally {
      if (this.loading === loading) this.stage.removeAttribute("aria-busy");
    }
  }

  nothing(text) {
    this.loading?.abort();
    this.loading = null;
    this.address = "";
    this.set("");
    this.heat.hidden = true;
    this.stage.classList.add("empty");
    this.stage.removeAttribute("aria-busy");
    this.tell(text);
  }

  tell(text) {
    this.note.textContent = text;
    this.note.hidden = !text;
  }

  set(url) {
    if (this.url?.startsWith("blob:")) URL.revokeObjectURL(this.url);
    this.url = url;
    if (url) this.image.src = url; else this.image.removeAttribute("src");
    this.image.hidden = !url;
    this.place();
  }

  // px of the stage: width and height, and those of the picture at no enlargement.
  fit() {
    const [width, height] = [this.stage.clientWidth, this.stage.clientHeight];
    const by = Math.min(width / this.size[0], height / this.size[1]) || 0;
    return { width, height, wide: this.size[0] * by, high: this.size[1] * by };
  }

  place() {
    const { width, height, wide, high } = this.fit();
    const { scale, x, y } = this.view;
    for (const image of [this.image, this.heat]) {
      image.style.width = wide + "px";
      image.style.height = high + "px";
    }
    this.layer.style.transform = `translate(${x * width}px, ${y * height}px) scale(${scale})`;
    this.image.style.transform = this.heat.style.transform = `translate(-50%, -50%)${this.flipped ? " scaleX(-1)" : ""}`;
    this.image.style.filter = `brightness(${this.light.brightness}) contrast(${this.light.contrast})`;
    this.image.style.imageRendering = scale * wide > 4 * this.size[0] ? "pixelated" : "auto";
    this.after();
  }

  // From shares of the picture to px of the stage, and back.
  toStage(u, v) {
    const { width, height, wide, high } = this.fit();
    const { scale, x, y } = this.view;
    return [width / 2 + x * width + scale * ((this.flipped ? 1 - u : u) - 0.5) * wide, height / 2 + y * height + scale * (v - 0.5) * high];
  }

  fromStage(left, top) {
    const { width, height, wide, high } = this.fit();
    const { scale, x, y } = this.view;
    const u = (left - width / 2 - x * width) / (scale * wide) + 0.5;
    return [this.flipped ? 1 - u : u, (top - height / 2 - y * height) / (scale * high) + 0.5];
  }

  // Where a pointer is: px of the stage; shares of it from its middle.
  at(event) {
    const { left, top } = this.stage.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  }

  share(event) {
    const [left, top] = this.at(event);
    return [left / this.stage.clientWidth - 0.5, top / this.stage.clientHeight - 0.5];
  }

  pointer(event) {
    if (event.target.closest("a, button, input")) return;
    if (this.drag) { this.drag(event); return; }
    const before = this.pointers.get(event.pointerId);
    if (event.type === "pointerdown") {
      this.stage.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, this.share(event));
    } else if (event.type !== "pointermove") {
      this.pointers.delete(event.pointerId);
    } else if (before) {
      const now = this.share(event);
      const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
      this.pointers.set(event.pointerId, now);
      if (other) { // two fingers: they enlarge about the one that rests
        const apart = ([x, y]) => Math.hypot(x - other[0], y - other[1]);
        this.view.zoom(apart(now) / Math.max(0.01, apart(before)), ...other);
      } else if (this.view.scale > 1) this.view.pan(now[0] - before[0], now[1] - before[1]);
    }
  }

  async showHeat(blob) {
    URL.revokeObjectURL(this.heat.src);
    this.heat.src = URL.createObjectURL(blob);
    await this.heat.decode();
    this.heat.hidden = false;
  }
}

// ---------------------------------------------------------------- pictures on their way, so that the next one is there
const ahead = new Map(); // address: promise
const AHEAD = 6;

export function prefetch(address) {
  if (ahead.has(address)) return;
  ahead.set(address, fetched(address).catch(() => { ahead.delete(address); return null; }));
  if (ahead.size > AHEAD) ahead.delete(ahead.keys().next().value);
}

async function loaded(address, signal) {
  const ready = ahead.has(address) ? await ahead.get(address) : null;
  return ready ?? fetched(address, signal);
}
