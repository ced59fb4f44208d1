"use strict";
// Data as listing.py's `listed` describes it. Names come from the photos' owner: they only ever become text nodes.
const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);

// ---------------------------------------------------------------- pictures: lines of blocks of text, split when needed
const blocks = [...document.querySelectorAll("script.thumbnails")];
const lines = new Map();

function picture(number) {
  const block = Math.floor(number / data.block);
  if (!lines.has(block)) lines.set(block, blocks[block].textContent.split("\n"));
  return "data:image/jpeg;base64," + lines.get(block)[number % data.block];
}

// ---------------------------------------------------------------- elements
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") element.addEventListener("click", value);
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

const image = (number, alt, kind = "") => make("img", { src: picture(number), alt, class: kind, decoding: "async" });
const photo = (number, kind) => image(number, data.photos[number], kind);

// ---------------------------------------------------------------- originals, which lie beside the page or do not
const UNSHOWN = /\.(tiff?|hei[cf]|hif)$/i; // kinds of files that most browsers cannot show

function original(number) {
  const path = data.paths[number];
  return path === null ? null : [...data.root.split("/"), ...path.split("/")].map(encodeURIComponent).join("/");
}

function absent(number) {
  const path = data.paths[number];
  if (path === null) return "Where the original lies is not known, so this is the small picture.";
  if (UNSHOWN.test(path)) return `This browser does not show files such as ${path}, so this is the small picture.`;
  return `The original, ${path}, is not where this page looks for it: keep the page in its project to see it. This is the small picture.`;
}

// The animal in a photo, cut from the original once that is there. A click shows the whole photo.
function cut(number, alt) {
  const small = image(number, alt), place = data.places[number];
  const frame = make("button", { type: "button", class: "frame", title: "the whole photo", onclick: () => enlarge(number) }, small);
  const said = make("small", { class: "absent" });
  if (place === null || original(number) === null) return [frame, said];
  const [left, top, right, bottom, wide, high] = place;
  const full = make("img", { alt, class: "full", hidden: "" });
  full.addEventListener("load", () => {
    frame.style.setProperty("--ratio", (right - left) / (bottom - top));
    Object.assign(full.style, {
      width: (100 * wide) / (right - left) + "%", left: (-100 * left) / (right - left) + "%", top: (-100 * top) / (bottom - top) + "%",
      height: (100 * high) / (bottom - top) + "%" });
    full.hidden = false;
    small.remove();
    frame.classList.add("original");
  });
  full.addEventListener("error", () => { full.remove(); said.textContent = absent(number); });
  full.src = original(number);
  frame.append(full);
  return [frame, said];
}

// ---------------------------------------------------------------- one photo, whole: fitted to the window, or pixel by pixel
const large = byId("large");
let wanted = null;  // what was asked for last; a slower photo of before is not shown

function enlarge(number) {
  const sheet = byId("sheet"), place = data.places[number], said = byId("large-said"), asked = (wanted = {});
  byId("large-title").textContent = data.photos[number];
  byId("fit").hidden = true;
  sheet.className = "";
  said.textContent = original(number) === null ? absent(number) : "loading …";
  const fallback = () => { said.textContent = absent(number); sheet.replaceChildren(image(number, data.photos[number])); };
  const full = make("img", { alt: data.photos[number] });
  const box = place === null ? null : make("i", { class: "box" });
  full.addEventListener("load", () => {
    if (wanted !== asked) return;
    const [wide, high] = [full.naturalWidth, full.naturalHeight];
    said.textContent = `${data.paths[number]}, ${wide} × ${high} px`;
    if (box !== null) {
      const [left, top, right, bottom, width, height] = place;
      box.style.inset = [top / height, 1 - right / width, 1 - bottom / height, left / width].map((share) => 100 * share + "%").join(" ");
    }
    sheet.replaceChildren(make("button", { type: "button", title: "fit to the window, or pixel by pixel", onclick: () => pixels() }, full, box));
    byId("fit").hidden = false;
    pixels(false);
  });
  full.addEventListener("error", () => { if (wanted === asked) fallback(); });
  if (original(number) === null) fallback();
  else full.src = original(number);
  if (!large.open) large.showModal();
}

function pixels(on = !byId("sheet").classList.contains("pixels")) {
  byId("sheet").classList.toggle("pixels", on);
  byId("fit").textContent = on ? "fit to the window" : "pixel by pixel";
}

byId("fit").addEventListener("click", () => pixels());
byId("large-close").addEventListener("click", () => large.close());
large.addEventListener("click", (event) => { if (event.target === large) large.close(); });

// ---------------------------------------------------------------- the second look: lines between matched points
const SVG = "http://www.w3.org/2000/svg";

function draw(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function matchedPoints(query, name) {
  const [match, ...points] = data.points[query.photo + "," + name] ?? [];
  if (match === undefined) return [];
  const title = `second look: ${points.length} matched places in ${data.photos[query.photo]} and ${data.photos[match]}`;
  const svg = draw("svg", { role: "img", "aria-label": title });
  Promise.all([query.photo, match].map(decoded)).then((pictures) => {
    const high = 240, gap = 12;
    const wide = pictures.map((one) => (one.naturalWidth / one.naturalHeight) * high);
    svg.setAttribute("viewBox", `0 0 ${wide[0] + gap + wide[1]} ${high}`);
    const left = [0, wide[0] + gap];
    svg.append(...pictures.map((one, side) =>
      draw("image", { href: one.src, x: left[side], y: 0, width: wide[side], height: high })));
    points.forEach(([x, y, matchX, matchY], number) => {
      const ends = { x1: (x / 1000) * wide[0], y1: (y / 1000) * high, x2: left[1] + (matchX / 1000) * wide[1], y2: (matchY / 1000) * high };
      const stroke = `hsl(${(number * 137) % 360} 85% 55%)`;
      svg.append(draw("line", { ...ends, stroke, "stroke-width": 1.5, "stroke-opacity": 0.85 }),
        ...[1, 2].map((end) => draw("circle", { cx: ends["x" + end], cy: ends["y" + end], r: 3, fill: stroke })));
    });
  });
  return [make("figure", {}, svg, make("figcaption", {}, title[0].toUpperCase() + title.slice(1)))];
}

function decoded(number) {
  const one = new Image();
  one.src = picture(number);
  return one.decode().then(() => one);
}
