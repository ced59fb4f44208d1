"use strict";
// Data as report.py's page_data describes it. Names come from the photos' owner: they only ever become text nodes.
const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const NEW = -1, PAGE = 24;

// ---------------------------------------------------------------- pictures: lines of blocks of text, split when needed
const blocks = [...document.querySelectorAll("script.thumbnails")];
const lines = new Map();

function picture(number) {
  const block = Math.floor(number / data.block);
  if (!lines.has(block)) lines.set(block, blocks[block].textContent.split("\n"));
  return "data:image/jpeg;base64," + lines.get(block)[number % data.block];
}

// ---------------------------------------------------------------- words
const individual = (number) => (number === NEW ? "new individual" : data.individuals[number]);
const species = (photo) => data.species[photo] ?? "";
// A new individual's score is the threshold.
const scored = ([name, score]) => (name === NEW ? "threshold " : "score ") + score.toFixed(3);

function percent(share) {
  if (share > 0 && share < 0.01) return "<1\u00a0%";
  if (share < 1 && share > 0.99) return ">99\u00a0%";
  return Math.round(100 * share) + "\u00a0%";
}

function verdict(query) {
  if (query.truth === null) return "unknown";
  return query.answers[0][0] === query.truth ? "right" : "wrong";
}

// As a shell takes a name; a dash in front would be an option.
const quoted = (name) => (/^[\w.][\w.-]*$/.test(name) ? name : "'" + name.replaceAll("'", "'\\''") + "'");

function command(query, photo) {
  const best = query.answers.find((answer) => answer[3] !== null);
  const names = data.photos[query.photo].startsWith("-") ? " --" : "";
  const match = best[3] === photo ? "" : " --match=" + quoted(data.photos[photo]);
  return "python -m finprint explain" + match + names + " " + quoted(data.photos[query.photo]);
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

function mark(query) {
  const right = verdict(query) === "right";
  const said = "first answer " + verdict(query);
  return make("span", { class: right ? "tick" : "cross", role: "img", "aria-label": said, title: said }, right ? "✓" : "✗");
}

function described(query) {
  const known = query.truth !== null && make("div", {}, mark(query), " is " + individual(query.truth));
  const search = () => { form.elements.search.value = query.proposed; changed(); };
  const named = query.proposed !== null && make("div", {}, "proposed ",
    make("button", { type: "button", class: "link", title: "show all photos of it", onclick: search }, query.proposed));
  return [make("b", {}, data.photos[query.photo]), make("div", {}, species(query.photo)), known || null, named || null];
}

function answered(query, place) {
  const [name, , probability, match] = query.answers[place];
  const right = query.truth === name;
  const sure = probability === null ? scored(query.answers[place]) : percent(probability);
  const heat = match !== null && heatOf(query, match) !== undefined;
  const content = [
    match === null ? make("span", { class: "photo nobody" }, "none of", make("br", {}), "the known") : photo(match, "photo"),
    make("b", { class: name === NEW ? "new" : "" }, `${place + 1}. ${individual(name)}${right ? " ✓" : ""}`),
    make("span", { class: "sure" }, sure),
    probability === null ? null : make("span", {}, scored(query.answers[place])),
    heat ? make("span", { title: "what made them alike is shown" }, "with heat maps") : null,
  ];
  const kind = right ? "answer true" : "answer";
  if (match === null) return make("div", { class: kind }, ...content);
  return make("button", { type: "button", class: kind, onclick: () => open(query, place) }, ...content);
}

function card(query) {
  const answers = query.answers.map((_, place) => make("li", {}, answered(query, place)));
  return make("li", { class: verdict(query) },
    make("div", { class: "query" }, photo(query.photo, "photo"), ...described(query)),
    make("ol", { class: "answers" }, ...answers));
}

// ---------------------------------------------------------------- one match, bigger
const dialog = byId("match");
let shown = null; // [query, place]

const heatOf = (query, match) => data.heat[query.photo + "," + match];

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

function open(query, place) {
  shown = [query, place];
  const [name, , probability, match] = query.answers[place];
  const sure = (probability === null ? "" : percent(probability) + ", ") + scored(query.answers[place]);
  byId("match-title").textContent = `Answer ${place + 1}: ${individual(name)} — ${sure}`;
  byId("previous").disabled = step(-1) === undefined;
  byId("next").disabled = step(1) === undefined;
  byId("pair").replaceChildren(
    make("figure", {}, photo(query.photo), ...described({ ...query, proposed: null })),
    make("figure", {}, photo(match), make("b", {}, data.photos[match]), make("div", {}, species(match)),
      make("div", {}, individual(name), query.truth === name ? make("span", { class: "tick" }, " ✓") : "")));
  byId("points").replaceChildren(...matchedPoints(query, name));
  const heat = heatOf(query, match);
  byId("explanation").replaceChildren(...(heat === undefined
    ? ["What made them alike: ", make("code", {}, command(query, match))]
    : ["What made them alike: the brighter a place, the more it added to the cosine (by the second round’s model, without the mirror images)."]));
  byId("heat").replaceChildren(...(heat === undefined ? [] : [heat, heat + 1].map((number, side) =>
    make("figure", {}, image(number, "heat map of " + data.photos[side ? match : query.photo])))));
  if (!dialog.open) dialog.showModal();
}

// The next place with a photo, in either direction.
function step(by) {
  const [query, place] = shown;
  for (let next = place + by; query.answers[next]; next += by) if (query.answers[next][3] !== null) return next;
  return undefined;
}

function go(by) {
  const place = step(by);
  if (place !== undefined) open(shown[0], place);
}

byId("close").addEventListener("click", () => dialog.close());
byId("previous").addEventListener("click", () => go(-1));
byId("next").addEventListener("click", () => go(1));
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
dialog.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") go(-1);
  if (event.key === "ArrowRight") go(1);
});

// ---------------------------------------------------------------- filters; what is set stands in the address
const form = byId("filters");
const fields = ["split", "species", "verdict", "answered", "min", "max", "sort", "search"];
const UNSET = { min: "0", max: "100" };
let found = [], built = 0;

// A first answer without a probability is as sure as its score, to sort by.
const sureness = (query) => query.answers[0][2] ?? query.answers[0][1];
const byName = (a, b) => (data.photos[a.photo] < data.photos[b.photo] ? -1 : 1);
const ORDERS = {
  "": (a, b) => sureness(a) - sureness(b) || byName(a, b),
  sure: (a, b) => sureness(b) - sureness(a) || byName(a, b),
  name: byName,
};

function words(query) {
  const names = query.answers.map((answer) => answer[0]).concat(query.truth ?? NEW).filter((name) => name !== NEW);
  return [data.photos[query.photo], query.proposed ?? "", ...names.map(individual)].join("\n").toLowerCase();
}

function passes(query, wanted) {
  const [name, , probability] = query.answers[0];
  const all = wanted.min === "0" && wanted.max === "100";
  return (!wanted.split || query.split === wanted.split)
    && (!wanted.species || (data.species[query.photo] ?? "unknown") === wanted.species)
    && (!wanted.verdict || verdict(query) === wanted.verdict)
    && (!wanted.answered || (name === NEW ? "new" : "known") === wanted.answered)
    && (all || (probability !== null && 100 * probability >= +wanted.min && 100 * probability <= +wanted.max))
    && (!wanted.search || words(query).includes(wanted.search.trim().toLowerCase()));
}

function more() {
  byId("cards").append(...found.slice(built, built + PAGE).map(card));
  built = Math.min(built + PAGE, found.length);
  end.unobserve(byId("more")); // an observer speaks of changes only, and once when it starts
  if (built < found.length) end.observe(byId("more"));
}

const end = new IntersectionObserver((entries) => {
  if (entries.some((entry) => entry.isIntersecting)) more();
}, { rootMargin: "1500px" });

function list() {
  const wanted = Object.fromEntries(fields.map((name) => [name, form.elements[name].value]));
  byId("from").textContent = wanted.min + " %";
  byId("to").textContent = wanted.max + " %";
  found = data.queries.filter((query) => passes(query, wanted)).sort(ORDERS[wanted.sort]);
  const told = found.filter((query) => query.truth !== null);
  const right = told.filter((query) => verdict(query) === "right").length;
  byId("count").textContent = `${found.length} of ${data.queries.length} photos`
    + (told.length && !wanted.verdict ? `; first answer right for ${right} of the ${told.length} whose truth is known` : "");
  byId("cards").replaceChildren();
  built = 0;
  more();
}

function changed() {
  const set = fields.map((name) => [name, form.elements[name].value]).filter(([name, value]) => value !== (UNSET[name] ?? ""));
  history.replaceState(null, "", "#" + new URLSearchParams(set));
  list();
}

function fromAddress() {
  const set = new URLSearchParams(location.hash.slice(1));
  for (const name of fields) {
    const field = form.elements[name];
    field.value = set.get(name) ?? UNSET[name] ?? "";
    if (field.selectedIndex === -1) field.value = ""; // an option that is not there
  }
  list();
}

function choices(name, any, options) {
  form.elements[name].replaceChildren(make("option", { value: "" }, any), ...options);
}

function start() {
  const splits = Object.entries(data.splits).filter(([split]) => data.queries.some((query) => query.split === split));
  choices("split", "all", splits.map(([split, title]) => make("option", { value: split }, title)));
  const kinds = new Set(data.queries.map((query) => data.species[query.photo] ?? "unknown"));
  choices("species", "all", [...kinds].sort().map((kind) => make("option", { value: kind }, kind)));
  if (data.queries.every((query) => query.answers[0][2] === null)) {
    for (const name of ["min", "max"]) form.elements[name].disabled = true;
  }
  form.addEventListener("input", changed);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(changed));
  addEventListener("hashchange", fromAddress);
  fromAddress();
  byId("cards").dataset.milliseconds = Math.round(performance.now()); // from opening the page to its first cards
}

if (form) start();
