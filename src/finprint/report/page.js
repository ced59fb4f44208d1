"use strict";
// The cards of the answers, their filters, and one match in a dialog.
const NEW = -1, PAGE = 24;

// ---------------------------------------------------------------- words
const individual = (number) => (number === NEW ? "new individual" : data.individuals[number]);
const species = (photo) => data.species[photo] ?? "";
// A new individual's score is the threshold, where the threshold has decided.
const scored = ([name, score]) => (score === null ? "" : (name === NEW ? "threshold " : "score ") + score.toFixed(3));

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
function mark(query) {
  const right = verdict(query) === "right";
  const said = "first answer " + verdict(query);
  return make("span", { class: right ? "tick" : "cross", role: "img", "aria-label": said, title: said }, right ? "✓" : "✗");
}

const link = (text, title, onclick, kind = "link") => make("button", { type: "button", class: kind, title, onclick }, text);

function set(wanted) {
  for (const name of fields) form.elements[name].value = wanted[name] ?? UNSET[name] ?? "";
  changed();
  form.scrollIntoView();
}

function described(query, links = true) {
  const known = query.truth !== null && make("div", {}, mark(query), " is " + individual(query.truth));
  const named = query.proposed !== null && make("div", {}, "proposed ",
    links ? link(query.proposed, "show all photos of it", () => set({ split: query.split, individual: query.proposed })) : query.proposed);
  const encounter = data.encounters[query.photo];
  const together = encounter !== null && make("div", {}, "encounter ",
    links ? link(encounter, "show this encounter", () => set({ split: query.split, encounter, sort: "encounter" }), "link plain") : encounter);
  return [make("b", {}, data.photos[query.photo]), make("div", {}, species(query.photo)), known || null, named || null, together || null];
}

function answered(query, place) {
  const [name, , probability, match] = query.answers[place];
  const right = query.truth === name;
  const score = scored(query.answers[place]);
  const sure = probability === null ? score : percent(probability);
  const heat = match !== null && heatOf(query, match) !== undefined;
  const content = [
    match === null ? make("span", { class: "photo nobody" }, "none of", make("br", {}), "the known") : photo(match, "photo"),
    make("b", { class: name === NEW ? "new" : "" }, `${place + 1}. ${individual(name)}${right ? " ✓" : ""}`),
    make("span", { class: "sure" }, sure),
    probability === null || !score ? null : make("span", {}, score),
    heat ? make("span", { title: "what made them alike is shown" }, "with heat maps") : null,
  ];
  const kind = "answer" + (right ? " true" : "") + (sought.has(name) ? " sought" : "");
  if (match === null) return make("div", { class: kind }, ...content);
  return make("button", { type: "button", class: kind, onclick: () => open(query, place) }, ...content);
}

function card(query) {
  const answers = query.answers.map((_, place) => make("li", {}, answered(query, place)));
  const asked = photo(query.photo, "photo");
  asked.addEventListener("click", () => enlarge(query.photo));
  return make("li", { class: verdict(query) },
    make("div", { class: "query" }, asked, ...described(query), link("whole photo", "in its own size", () => enlarge(query.photo), "link plain")),
    make("ol", { class: "answers" }, ...answers),
    query.note === null ? null : make("p", { class: "note" }, query.note));
}

// ---------------------------------------------------------------- one match, bigger
const dialog = byId("match");
let shown = null; // [query, place]

const heatOf = (query, match) => data.heat[query.photo + "," + match];

function open(query, place) {
  shown = [query, place];
  const [name, , probability, match] = query.answers[place];
  const sure = [probability === null ? "" : percent(probability), scored(query.answers[place])].filter(Boolean).join(", ");
  byId("match-title").textContent = `Answer ${place + 1}: ${individual(name)} — ${sure}`;
  byId("previous").disabled = step(-1) === undefined;
  byId("next").disabled = step(1) === undefined;
  byId("pair").replaceChildren(
    make("figure", {}, ...cut(query.photo, data.photos[query.photo]), ...described({ ...query, proposed: null }, false)),
    make("figure", {}, ...cut(match, data.photos[match]), make("b", {}, data.photos[match]), make("div", {}, species(match)),
      make("div", {}, individual(name), query.truth === name ? make("span", { class: "tick" }, " ✓") : ""),
      data.encounters[match] === null ? "" : make("div", {}, "encounter " + data.encounters[match])));
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
const fields = ["individual", "split", "species", "verdict", "answered", "encounter", "min", "max", "sort", "search"];
const UNSET = { min: "0", max: "100" };
const SUGGESTED = 40;
let shownQueries = [], built = 0;
let sought = new Set(); // the individuals that are searched for

// A first answer without a probability is as sure as its score, to sort by.
const sureness = (query) => query.answers[0][2] ?? query.answers[0][1] ?? 0;
const by = (text) => (a, b) => (text(a) < text(b) ? -1 : text(a) > text(b) ? 1 : 0);
const byName = by((query) => data.photos[query.photo]);
const together = (query) => data.encounters[query.photo];
const ORDERS = {
  "": (a, b) => sureness(a) - sureness(b) || byName(a, b),
  sure: (a, b) => sureness(b) - sureness(a) || byName(a, b),
  name: byName,
  encounter: (a, b) => (together(a) === null) - (together(b) === null) || by(together)(a, b) || byName(a, b),
};

function words(query) {
  const names = query.answers.map((answer) => answer[0]).concat(query.truth ?? NEW).filter((name) => name !== NEW);
  return [data.photos[query.photo], query.proposed ?? "", ...names.map(individual)].join("\n").toLowerCase();
}

const lower = (text) => text.trim().toLowerCase();
const names = data.individuals.map(lower);
const ids = new Map(data.queries.filter((query) => query.proposed !== null).map((query) => [lower(query.proposed), query.proposed]));

// The individuals of that name; if there are none, all whose names hold it.
function individualsCalled(text) {
  const numbers = [...names.keys()];
  const exact = numbers.filter((number) => names[number] === text);
  return new Set(exact.length || !text ? exact : ids.has(text) ? [] : numbers.filter((number) => names[number].includes(text)));
}

function shows(query, text) {
  return lower(query.proposed ?? "") === text || sought.has(query.truth) || query.answers.some((answer) => sought.has(answer[0]));
}

function passes(query, wanted) {
  const [name, , probability] = query.answers[0];
  const all = wanted.min === "0" && wanted.max === "100";
  return (!wanted.split || query.split === wanted.split)
    && (!wanted.species || (data.species[query.photo] ?? "unknown") === wanted.species)
    && (!wanted.verdict || verdict(query) === wanted.verdict)
    && (!wanted.answered || (name === NEW ? "new" : "known") === wanted.answered)
    && (all || (probability !== null && 100 * probability >= +wanted.min && 100 * probability <= +wanted.max))
    && (!wanted.encounter || lower(together(query) ?? "") === lower(wanted.encounter))
    && (!wanted.individual || shows(query, lower(wanted.individual)))
    && (!wanted.search || words(query).includes(lower(wanted.search)));
}

function suggest(text) {
  const every = [...data.individuals, ...ids.values()];
  const options = [];
  for (const name of every) {
    if (options.length === SUGGESTED) break;
    if (lower(name).includes(lower(text))) options.push(make("option", { value: name }));
  }
  byId("individuals").replaceChildren(...options);
}

// What the page knows of one individual that is searched for: how often it was answered, and its catalogue photos.
function animal(wanted) {
  const panel = byId("animal");
  panel.hidden = sought.size !== 1 || !wanted.individual;
  if (panel.hidden) return;
  const [number] = sought;
  const places = shownQueries.map((query) => query.answers.findIndex((answer) => answer[0] === number));
  const first = places.filter((place) => place === 0).length, further = places.filter((place) => place > 0).length;
  const photos = new Set(data.queries.flatMap((query) => query.answers.filter((answer) => answer[0] === number).map((answer) => answer[3])));
  panel.replaceChildren(
    make("b", {}, individual(number)),
    make("span", {}, `first answer of ${counted(first, "photo")} listed, a further one of ${further}. `
      + (photos.size ? "Its catalogue photos that looked most alike:" : "No catalogue photo of it gave an answer.")),
    make("div", {}, ...[...photos].slice(0, 60).map((match) => {
      const small = photo(match);
      return make("button", { type: "button", title: data.photos[match], onclick: () => enlarge(match) }, small);
    })));
}

const counted = (number, thing) => `${number} ${thing}${number === 1 ? "" : "s"}`;

function encounterHead(query) {
  const encounter = together(query);
  const others = shownQueries.filter((other) => together(other) === encounter);
  const answers = new Map();
  for (const other of others) answers.set(other.answers[0][0], (answers.get(other.answers[0][0]) ?? 0) + 1);
  const told = [...answers].sort((a, b) => b[1] - a[1]).slice(0, 6).map(([name, count]) => `${individual(name)} ${count}`);
  const more = answers.size > told.length ? `, and ${answers.size - told.length} others` : "";
  return make("li", { class: "encounter" },
    make("b", {}, encounter === null ? "No encounter is known" : "Encounter " + encounter),
    ` ${counted(others.length, "photo")}; first answers: ${told.join(", ")}${more}`);
}

function more() {
  const next = shownQueries.slice(built, built + PAGE);
  const grouped = form.elements.sort.value === "encounter";
  byId("cards").append(...next.flatMap((query, place) => {
    const before = shownQueries[built + place - 1];
    return grouped && (before === undefined || together(before) !== together(query)) ? [encounterHead(query), card(query)] : [card(query)];
  }));
  built += next.length;
  end.unobserve(byId("more")); // an observer speaks of changes only, and once when it starts
  if (built < shownQueries.length) end.observe(byId("more"));
}

const end = new IntersectionObserver((entries) => {
  if (entries.some((entry) => entry.isIntersecting)) more();
}, { rootMargin: "1500px" });

function list() {
  const wanted = Object.fromEntries(fields.map((name) => [name, form.elements[name].value]));
  byId("from").textContent = wanted.min + " %";
  byId("to").textContent = wanted.max + " %";
  sought = individualsCalled(lower(wanted.individual));
  shownQueries = data.queries.filter((query) => passes(query, wanted)).sort(ORDERS[wanted.sort]);
  const told = shownQueries.filter((query) => query.truth !== null);
  const right = told.filter((query) => verdict(query) === "right").length;
  byId("count").textContent = `${shownQueries.length} of ${data.queries.length} photos`
    + (told.length && !wanted.verdict ? `; first answer right for ${right} of the ${told.length} whose truth is known` : "");
  animal(wanted);
  byId("cards").replaceChildren();
  built = 0;
  more();
}

function address() {
  const values = fields.map((name) => [name, form.elements[name].value]).filter(([name, value]) => value !== (UNSET[name] ?? ""));
  if (view !== "answers") values.push(["view", view]);
  history.replaceState(null, "", "#" + new URLSearchParams(values));
}

function changed() {
  address();
  list();
}

function fromAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const name of fields) {
    const field = form.elements[name];
    field.value = given.get(name) ?? UNSET[name] ?? "";
    if (field.selectedIndex === -1) field.value = ""; // an option that is not there
  }
  look(given.get("view") ?? "answers");
  list();
}

// ---------------------------------------------------------------- views: the answers, or the metrics and figures
let view = "answers";

function look(wanted) {
  view = wanted === "metrics" ? wanted : "answers";
  for (const button of document.querySelectorAll("nav button")) {
    button.setAttribute("aria-pressed", button.dataset.view === view);
    byId(button.dataset.view).hidden = button.dataset.view !== view;
  }
}

function choices(name, any, options) {
  form.elements[name].replaceChildren(make("option", { value: "" }, any), ...options);
}

function start() {
  const splits = Object.entries(data.splits).filter(([split]) => data.queries.some((query) => query.split === split));
  choices("split", "all", splits.map(([split, title]) => make("option", { value: split }, title)));
  if (splits.length > 1) UNSET.split = splits[0][0]; // the photos to identify
  const kinds = new Set(data.queries.map((query) => data.species[query.photo] ?? "unknown"));
  choices("species", "all", [...kinds].sort().map((kind) => make("option", { value: kind }, kind)));
  if (data.queries.every((query) => query.answers[0][2] === null)) {
    for (const name of ["min", "max"]) form.elements[name].disabled = true;
  }
  if (data.queries.every((query) => together(query) === null)) {
    form.elements.encounter.disabled = true;
    form.elements.sort.querySelector("[value=encounter]").disabled = true;
  }
  form.elements.individual.addEventListener("input", (event) => suggest(event.target.value));
  form.addEventListener("input", changed);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => set({})));
  for (const button of document.querySelectorAll("nav button")) {
    button.addEventListener("click", () => { look(button.dataset.view); address(); scrollTo(0, 0); });
  }
  addEventListener("hashchange", fromAddress);
  suggest("");
  fromAddress();
  byId("cards").dataset.milliseconds = Math.round(performance.now()); // from opening the page to its first cards
}

if (form) start();
