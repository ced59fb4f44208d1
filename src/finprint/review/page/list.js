// A list of any length of which only the rows in sight exist. All rows are equally high.
export class VirtualList {
  // row(index) -> element; chosen(index, clicked): a row was clicked, or reached by an arrow key.
  constructor(root, height, row, chosen) {
    Object.assign(this, { root, height, row, chosen, length: 0, at: -1, rows: new Map() });
    this.inner = document.createElement("div");
    this.inner.className = "rows";
    root.append(this.inner);
    root.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(root);
    this.inner.addEventListener("click", (event) => {
      const row = event.target.closest("[data-index]");
      if (row) this.chosen(+row.dataset.index, true);
    });
    root.addEventListener("keydown", (event) => {
      const page = Math.max(1, Math.floor(root.clientHeight / height) - 1);
      const by = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -this.length, End: this.length }[event.key];
      if (by === undefined || !this.length) return;
      event.preventDefault();
      event.stopPropagation();
      this.chosen(Math.min(this.length - 1, Math.max(0, this.at + by)), false);
    });
  }

  show(length, at = -1) {
    this.length = length;
    this.inner.style.height = length * this.height + "px";
    for (const row of this.rows.values()) row.remove();
    this.rows.clear();
    this.choose(at);
  }

  choose(at, scroll = true) {
    this.at = at;
    const top = at * this.height, { scrollTop, clientHeight } = this.root;
    if (scroll && at >= 0 && (top < scrollTop || top + this.height > scrollTop + clientHeight)) {
      this.root.scrollTop = Math.max(0, top - clientHeight / 2 + this.height / 2);
    }
    this.draw();
  }

  redraw(index) {
    this.rows.get(index)?.remove();
    this.rows.delete(index);
    this.draw();
  }

  draw() {
    const first = Math.max(0, Math.floor(this.root.scrollTop / this.height) - 4);
    const last = Math.min(this.length, Math.ceil((this.root.scrollTop + this.root.clientHeight) / this.height) + 4);
    for (const [index, row] of this.rows) {
      if (index < first || index >= last) { row.remove(); this.rows.delete(index); }
    }
    for (let index = first; index < last; index++) {
      if (!this.rows.has(index)) {
        const row = this.row(index);
        row.dataset.index = index;
        row.id = `${this.root.id}-${index}`;
        row.setAttribute("role", "option");
        row.setAttribute("aria-posinset", index + 1);
        row.setAttribute("aria-setsize", this.length);
        row.style.transform = `translateY(${index * this.height}px)`;
        this.rows.set(index, row);
        this.inner.append(row);
      }
      this.rows.get(index).setAttribute("aria-selected", index === this.at);
    }
    if (this.at >= 0) this.root.setAttribute("aria-activedescendant", `${this.root.id}-${this.at}`);
    else this.root.removeAttribute("aria-activedescendant");
  }
}
