// Elements. Names come from the photos' owner: they only ever become text nodes.
export const byId = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function percent(share) {
  if (share > 0 && share < 0.01) return "<1\u00a0%";
  if (share < 1 && share > 0.99) return ">99\u00a0%";
  return Math.round(100 * share) + "\u00a0%";
}

export const counted = (number, one, many = one + "s") => `${number} ${number === 1 ? one : many}`;

let hiding = 0;
export function toast(text, ...buttons) {
  const element = byId("toast");
  element.replaceChildren(text, ...buttons);
  element.hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => { element.hidden = true; }, buttons.length ? 8000 : 4000);
}

export function alarm(text) {
  byId("alarm").textContent = text;
  byId("alarm").hidden = !text;
}

// A dialog that closes by its own buttons, by Escape and by a click beside it.
export function closable(dialog) {
  for (const button of dialog.querySelectorAll(".close")) button.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
}

// Theme: as the system has it, until a person chooses.
export function themes(button) {
  const set = (theme) => { document.documentElement.dataset.theme = theme; };
  set(localStorage.getItem("finprint theme") ?? "");
  button.addEventListener("click", () => {
    const theme = document.documentElement.dataset.theme;
    const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    localStorage.setItem("finprint theme", dark ? "light" : "dark");
    set(dark ? "light" : "dark");
  });
}
