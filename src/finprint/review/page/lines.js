// Lines between matched points of two viewers.
const SVG = "http://www.w3.org/2000/svg";

export class Lines {
  constructor(root) { Object.assign(this, { root, points: [], on: false }); }
  between(left, right) { this.viewers = [left, right]; }
  set(points) { this.points = points; this.draw(); }
  visible(on) { this.on = on; this.draw(); }

  draw() {
    if (!this.viewers) return;
    this.root.replaceChildren();
    if (!this.on || !this.points.length) return;
    const origin = this.root.getBoundingClientRect();
    const stages = this.viewers.map((viewer) => viewer.stage.getBoundingClientRect());
    const place = (side, u, v) => {
      const [x, y] = this.viewers[side].toStage(u, v);
      const { left, top, width, height } = stages[side];
      return x < 0 || y < 0 || x > width || y > height ? null : [left - origin.left + x, top - origin.top + y];
    };
    this.points.forEach(([u, v, s, t], number) => {
      const ends = [place(0, u, v), place(1, s, t)];
      const colour = `hsl(${(number * 137) % 360} 90% 60%)`;
      if (ends[0] && ends[1]) this.add("line", { x1: ends[0][0], y1: ends[0][1], x2: ends[1][0], y2: ends[1][1], stroke: colour });
      for (const end of ends) if (end) this.add("circle", { cx: end[0], cy: end[1], r: 4, fill: colour });
    });
  }

  add(tag, attributes) {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    this.root.append(element);
  }
}
