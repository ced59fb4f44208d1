// Drawing a box on the whole photo, by pointer or by keys.
import { make } from "./dom.js";

const NEAR = 14; // px within which a corner is grasped
const STEP = 0.01; // of the photo's width and height, by an arrow key

export class BoxDrawer {
  constructor(viewer, saved, left) {
    Object.assign(this, { viewer, saved, left, box: null, size: [1, 1], active: false });
    this.element = make("div", { class: "box", hidden: true });
    this.help = make("div", { class: "box-help", hidden: true },
      make("span", {}, "Draw a box around the animal, or move it by the arrows (Shift: its lower right corner)."),
      make("button", { type: "button", class: "main", onclick: () => this.save() }, "Save box (Enter)"),
      make("button", { type: "button", onclick: () => this.left() }, "Cancel (Esc)"));
    viewer.stage.append(this.element, this.help);
  }

  // box: px of the original, or null; size: the original's width and height.
  start(box, size) {
    const [wide, high] = size;
    this.size = size;
    this.box = box ? [box[0] / wide, box[1] / high, box[2] / wide, box[3] / high] : [0.25, 0.25, 0.75, 0.75];
    this.active = true;
    this.viewer.drag = (event) => this.pointer(event);
    this.element.hidden = this.help.hidden = false;
    this.viewer.stage.classList.add("drawing");
    this.place();
    this.viewer.stage.focus();
  }

  end() {
    this.active = false;
    this.viewer.drag = null;
    this.element.hidden = this.help.hidden = true;
    this.viewer.stage.classList.remove("drawing");
  }

  save() {
    const [x0, y0, x1, y1] = this.box, [wide, high] = this.size;
    if (x1 - x0 < 0.003 || y1 - y0 < 0.003) return;
    this.saved([x0 * wide, y0 * high, x1 * wide, y1 * high].map((side) => Math.round(side * 10) / 10));
  }

  place() {
    if (!this.active) return;
    const [a, b] = [this.viewer.toStage(this.box[0], this.box[1]), this.viewer.toStage(this.box[2], this.box[3])];
    Object.assign(this.element.style, {
      left: Math.min(a[0], b[0]) + "px", top: a[1] + "px", width: Math.abs(b[0] - a[0]) + "px", height: b[1] - a[1] + "px",
    });
  }

  set([x0, y0, x1, y1]) {
    const within = (value) => Math.min(1, Math.max(0, value));
    this.box = [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)].map(within);
    this.place();
  }

  pointer(event) {
    const here = this.viewer.fromStage(...this.viewer.at(event));
    if (event.type === "pointerdown") {
      event.preventDefault();
      this.viewer.stage.setPointerCapture(event.pointerId);
      const [x0, y0, x1, y1] = this.box, [left, top] = this.viewer.at(event);
      const corners = [[x0, y0, x1, y1], [x1, y0, x0, y1], [x0, y1, x1, y0], [x1, y1, x0, y0]];
      const near = corners.find(([x, y]) => {
        const [cx, cy] = this.viewer.toStage(x, y);
        return Math.hypot(cx - left, cy - top) < NEAR;
      });
      this.anchor = near ? [near[2], near[3]] : here; // the corner that stays
    } else if (event.type === "pointermove" && this.anchor) {
      this.set([...this.anchor, ...here]);
    } else if (event.type !== "pointermove") this.anchor = null;
  }

  // Is this key one of the drawing's?
  key(event) {
    const by = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key];
    if (event.key === "Escape") this.left();
    else if (event.key === "Enter") this.save();
    else if (by) {
      const [x0, y0, x1, y1] = this.box;
      this.set(event.shiftKey ? [x0, y0, x1 + by[0], y1 + by[1]] : [x0 + by[0], y0 + by[1], x1 + by[0], y1 + by[1]]);
    } else return ["+", "-", "0", "?"].includes(event.key) ? false : event.key.length === 1;
    return true;
  }
}
