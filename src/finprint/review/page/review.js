// The page: one photo to identify at a time, its candidates, and the decision.
import { Refused, fetched, flush, get, picture, post, small } from "./api.js";
import { BoxDrawer } from "./box.js";
import { Catalogue } from "./catalogue.js";
import { alarm, byId, closable, counted, make, percent, themes, toast } from "./dom.js";
import { NameSearch } from "./names.js";
import { VirtualList } from "./list.js";
import { Lines } from "./lines.js";
import { Proposed } from "./proposed.js";
import { Queue } from "./queue.js";
import { Selection } from "./selection.js";
import { View, Viewer, prefetch } from "./viewer.js";

const POLL = 2500; // ms between two looks for the decisions of others
const WORDS = { confirmed: "confirmed as", new: "new individual", unsure: "unsure", unusable: "not usable" };
const GRADES = ["distinctiveness", "quality"];

// ---------------------------------------------------------------- what the page knows
const all = { images: [], stands: {}, seen: 0, progress: {} };
let photo = null; // what the server tells of the photo that is shown
let place = 0; // which of its candidates is shown
let candidates = []; // the answers, and individuals that were searched for
let members = []; // all photos of the candidate that is shown
let beside = ""; // which of them is shown
let whole = false; // is the whole photo shown rather than the crop?
let shows = { points: false, heat: false };
let pending = ""; // the grade that the next digit gives
let request = 0; // the latest photo asked for: earlier answers are dropped
const together = []; // ids of the decisions that were made at once: one undoing takes them all back

let drawer = null;
const who = byId("who");
const view = new View();
const lines = new Lines(byId("lines"));
const left = new Viewer(byId("asked"), view, () => { lines.draw(); drawer?.place(); });
const right = new Viewer(byId("candidate"), view, () => lines.draw());
lines.between(left, right);
drawer = new BoxDrawer(left, (box) => saveBox(box), () => stopDrawing());

// ---------------------------------------------------------------- the photo
async function open(image, keep = false) {
  const mine = ++request;
  if (!selection.images.has(image)) selection.clear();
  if (!keep) { stopDrawing(); whole = false; view.reset(); left.flip(false); right.flip(false); showLines(false); shows.heat = false; }
  queue.choose(image);
  try {
    const told = await get("photo", { image });
    if (mine !== request) return;
    photo = told;
  } catch (error) { failed(error); return; }
  document.title = `${photo.image} · finprint review`;
  queue.remember(photo.image);
  candidates = photo.answers.map((answer) => ({ ...answer }));
  drawAsked();
  drawAnswers();
  drawStands();
  drawGrades();
  await choose(keep ? Math.min(place, candidates.length - 1) : Math.max(0, candidates.findIndex((one) => !one.new)));
  prefetchNext();
}

const cropOf = (one) => picture(one.image, "crop", one.drawn ? { box: one.box.join() } : {});

function about(one) {
  return [one.date, one.viewpoint, one.encounter && "encounter " + one.encounter, one.place, one.species].filter(Boolean).join(" · ");
}

function drawAsked() {
  const caption = byId("asked");
  caption.querySelector(".name").textContent = photo.image;
  caption.querySelector(".about").textContent = about(photo);
  const region = photo.region;
  left.show(whole ? picture(photo.image, "photo") : cropOf(photo), small(photo.image),
    whole || !region ? photo.size : [region[2] - region[0], region[3] - region[1]]);
  byId("whole").setAttribute("aria-pressed", whole);
  byId("whole").disabled = !photo.region && !photo.drawn;
  const others = photo.together.length > 1 ? photo.together : [];
  strip(byId("asked"), others, photo.image, (one) => {
    if (selection.active) pick(one.image); else if (one.asked) open(one.image); else catalogue.enlarge([one]);
  }, "Same encounter: ");
  drawPicked();
}

// A row of small pictures; the one that is shown is marked.
function strip(figure, photos, shown, clicked, head) {
  const root = figure.querySelector(".strip");
  root.hidden = !photos.length;
  root.replaceChildren(make("span", { class: "head" }, head + photos.length), ...photos.map((one) => {
    const title = [one.image, one.individual || (one.stands ? WORDS[one.stands[0]] : one.asked ? "undecided" : ""), about(one)].filter(Boolean).join("\n");
    return make("button", { type: "button", class: one.stands ? "done" : "", title, "aria-label": title.replaceAll("\n", ", "),
      "aria-current": one.image === shown, "data-image": one.image, onclick: () => clicked(one) },
      make("img", { src: small(one.image), alt: "", loading: "lazy" }), make("small", {}, one.viewpoint || one.date.slice(0, 10) || ""));
  }));
  root.querySelector("[aria-current=true]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

// ---------------------------------------------------------------- the candidates
function drawAnswers() {
  const items = candidates.map((one, number) => {
    const key = one.searched ? "" : number + 1;
    const name = one.new ? "new individual" : one.identity;
    const sure = one.searched ? "searched" : one.probability === null ? "score " + one.score.toFixed(3) : percent(one.probability);
    return make("li", {}, make("button", { type: "button", class: one.new ? "new" : "", "aria-pressed": number === place, onclick: () => choose(number),
      title: one.new ? "none of the known individuals" : `show ${name}${key ? `; key ${key} confirms` : ""}` },
      key ? make("kbd", {}, key) : null,
      one.match || one.image ? make("img", { src: small(one.match ?? one.image), alt: "" }) : make("span", { class: "nobody", "aria-hidden": "true" }, "?"),
      make("b", {}, name), make("span", { class: "sure" }, sure),
      one.new ? null : make("small", {}, counted(one.photos, "photo"))));
  });
  byId("answers").replaceChildren(...items);
  const first = candidates.find((one) => !one.new && !one.searched);
  if (first && candidates.some((one, number) => number && !one.searched && one.probability > candidates[0].probability)) {
    byId("answers").append(make("li", { class: "remark" }, "The order follows the score; the probabilities were calibrated apart."));
  }
}

async function choose(number) {
  place = Math.max(0, number);
  const one = candidates[place];
  [...byId("answers").querySelectorAll("button")].forEach((button, index) => button.setAttribute("aria-pressed", index === place));
  const caption = byId("candidate");
  shows.heat = false;
  press();
  if (!one || one.new) {
    members = [];
    caption.querySelector(".name").textContent = one ? "new individual" : "no candidate";
    caption.querySelector(".about").textContent = one ? "none of the known individuals: N makes a new one" : "";
    strip(caption, [], "", () => {}, "");
    right.nothing(one ? "None of the known individuals." : "");
    lines.set([]);
    buttons();
    return;
  }
  caption.querySelector(".name").textContent = one.identity;
  const mine = request;
  try {
    const told = await get("individual", { name: one.identity });
    if (mine !== request || candidates[place] !== one) return;
    one.identity = told.name;
    members = told.photos;
  } catch (error) { members = []; right.nothing(error.message); return; }
  const best = members.find((member) => member.image === one.match && member.image !== photo.image) ?? members.find((member) => member.image !== photo.image) ?? members[0];
  turn(best.image);
  buttons();
}

// Show one of the candidate's photos.
function turn(image) {
  const one = members.find((member) => member.image === image);
  if (!one) return;
  beside = image;
  const caption = byId("candidate"), searched = candidates[place];
  caption.querySelector(".name").textContent = searched.identity;
  caption.querySelector(".about").textContent = [image, about(one)].filter(Boolean).join(" · ");
  right.show(picture(image, "crop"), small(image));
  strip(caption, members, image, (member) => turn(member.image), "All photos: ");
  lines.set(photo.points[image] ?? []);
  left.heat.hidden = true;
  shows.heat = false;
  press();
}

function turnBy(by) {
  const at = members.findIndex((one) => one.image === beside);
  if (at >= 0) turn(members[(at + by + members.length) % members.length].image);
}

// ---------------------------------------------------------------- what matched
function showLines(on) {
  shows.points = on;
  lines.visible(on && !whole);
  press();
}

function points() {
  if (!shows.points && whole) showWhole(false);
  showLines(!shows.points);
  if (shows.points && !lines.points.length) toast(photo.drawn ? "The box was drawn anew: matched points are of the old one." : "The second look has matched no points of these two photos.");
}

async function heat() {
  if (shows.heat) { left.heat.hidden = right.heat.hidden = true; shows.heat = false; press(); return; }
  if (!all.explains) { toast("There is no model here that could explain a match."); return; }
  if (!members.length) return;
  if (photo.drawn) { toast("The box was drawn anew: a heat map would show the old one."); return; }
  if (whole) showWhole(false);
  const pair = { query: photo.image, match: beside }, mine = request;
  byId("heat").setAttribute("aria-busy", "true");
  try {
    const [query, match] = await Promise.all(["query", "match"].map((side) => fetched("heat?" + new URLSearchParams({ ...pair, side }))));
    if (mine !== request || beside !== pair.match) return;
    await Promise.all([left.showHeat(query.blob), right.showHeat(match.blob)]);
    shows.heat = true;
  } catch (error) { failed(error); } finally { byId("heat").removeAttribute("aria-busy"); press(); }
}

function press() {
  byId("points")?.setAttribute("aria-pressed", shows.points);
  byId("heat")?.setAttribute("aria-pressed", shows.heat);
}

function showWhole(on = !whole) {
  whole = on;
  view.reset();
  drawAsked();
  lines.visible(shows.points && !whole);
}

// ---------------------------------------------------------------- the box
function draw() {
  if (drawer.active) { stopDrawing(); return; }
  if (!whole) showWhole(true);
  drawer.start(photo.box, photo.size);
}

function stopDrawing() {
  if (!drawer?.active) return;
  drawer.end();
  if (whole) showWhole(false);
}

async function saveBox(box) {
  drawer.end();
  whole = false;
  if (!await send("decide", { action: "box", photo: photo.image, box })) return;
  toast(all.again ? "The box is saved, and the photo was answered anew." : "The box is saved. The next run of the pipeline uses it; the answers are still those of the old box.");
  await open(photo.image);
}

// ---------------------------------------------------------------- decisions
function drawStands() {
  const stands = all.stands[photo.image];
  const said = photo.history.filter((one) => one.action !== "undo" && one.action !== "box" && one.action !== "grade").map((one) => one.who);
  const others = [...new Set(said)].filter((name) => name !== stands?.[2]);
  byId("stands").replaceChildren(...(stands
    ? [make("b", { class: stands[0] }, stands[0] === "confirmed" || stands[0] === "new" ? `${WORDS[stands[0]]} ${stands[1]}` : WORDS[stands[0]]),
      ` by ${stands[2]}, ${stands[3].slice(0, 16).replace("T", " ")}`, others.length ? `; also looked at by ${others.join(", ")}` : ""]
    : [photo.asked ? "Undecided." : "", photo.proposed ? ` Proposed as one of the new individual ${photo.proposed}.` : "", others.length ? ` Looked at by ${others.join(", ")}.` : ""]));
}

function buttons() {
  const one = candidates[place];
  byId("confirm").textContent = (one && !one.new ? `Confirm ${one.identity}` : "Confirm") + (selection.several ? ` for ${selection.images.size} photos` : "");
  byId("confirm").disabled = !one || one.new;
}

function byWhom() {
  const name = who.value.trim();
  if (!name) { who.focus(); toast("Enter your name first: each decision says who made it."); }
  return name;
}

// Send a decision; what stands comes back. False: it was refused.
async function send(path, given) {
  const name = byWhom();
  if (!name) return null;
  try {
    const told = await post(path, { who: name, ...given });
    take(told);
    return told;
  } catch (error) { failed(error); return null; }
}

// One thing after another: a key that is pressed before the next photo is there means that photo.
let last = Promise.resolve(), waiting = 0;
function inTurn(action) {
  if (waiting && !byId("alarm").hidden) { toast("The last decision is not saved yet."); return; }
  waiting++;
  last = last.then(action).catch(failed).finally(() => { waiting--; });
}

async function decide(action, to = "") {
  if (!photo || !photo.asked) return;
  if (selection.several) { await decideAll(action, to); return; }
  const image = photo.image, next = queue.nextUndecided(image);
  const told = await send("decide", { action, photo: image, to });
  if (!told) return;
  const [status, name] = told.stands[image] ?? all.stands[image] ?? [];
  const button = make("button", { type: "button", onclick: () => inTurn(() => undo(told.decision.id)) }, "Undo (Z)");
  toast(`${image}: ${status === "confirmed" || status === "new" ? `${WORDS[status]} ${name}` : WORDS[status]}. `, button);
  if (photo.image === image) await open(next ?? image, next === null);
  if (next === null) toast("No undecided photo is left in this list. ", button);
}

// One decision on all photos that are selected, a line of the log each. New ones share a line, because they share a name.
async function decideAll(action, to) {
  const images = [...selection.images], asked = images.filter((image) => all.index.has(image)), labelled = images.filter((image) => !all.index.has(image));
  if (labelled.length && action === "unsure") { toast(`${labelled[0]} is a catalogue photo: only photos to identify can be unsure.`); return; }
  const given = action === "new" ? [{ action, photos: asked, to }] : asked.map((image) => ({ action, photo: image, to }));
  const ids = [];
  together.push(ids);
  for (const image of labelled) given.push(action === "unusable" ? { action: "drop", photo: image } : { action: "relabel", photo: image, to });
  for (const one of given) {
    const told = await send("decide", one.action === "relabel" ? { ...one, to } : one);
    if (!told) return;
    ids.push(told.decision.id);
    if (action === "new" && one.action === "new") to = told.decision.to;
  }
  const said = { confirm: `shows ${to}`, new: `shows the new individual ${to}`, unsure: "unsure", unusable: "not usable" }[action];
  const next = queue.nextUndecided(photo.image);
  selection.clear();
  toast(`${counted(images.length, "photo")}: ${said}. `, make("button", { type: "button", onclick: () => inTurn(() => undo(ids[0])) }, "Undo all (Z)"));
  await open(next ?? photo.image, next === null);
}

// ---------------------------------------------------------------- several photos at once
function pick(image) {
  if (image === photo.image) toast("The photo that is shown is always one of them.");
  else selection.toggle(image);
}

// Select the undecided photos of this encounter, or none.
function selectEncounter() {
  if (selection.active) { selection.clear(); return; }
  const undecided = photo.together.filter((one) => one.asked && !all.stands[one.image]).map((one) => one.image);
  selection.start(new Set([photo.image, ...undecided]));
}

function drawPicked() {
  byId("encounter").setAttribute("aria-pressed", selection.active);
  for (const one of byId("asked").querySelectorAll(".strip button")) {
    if (selection.active) one.setAttribute("aria-pressed", selection.images.has(one.dataset.image)); else one.removeAttribute("aria-pressed");
  }
  queue.picked(selection.images);
  buttons();
}

function confirm(number) {
  const one = candidates[number];
  if (!one) return null;
  return one.new ? decide("new") : decide("confirm", one.identity);
}

async function undo(of = "") {
  const told = await send("undo", of ? { of } : {});
  if (!told) return;
  const group = together.find((ids) => ids.includes(told.undone.id)) ?? [];
  for (const id of group.filter((one) => one !== told.undone.id).reverse()) await send("undo", { of: id });
  if (group.length) together.splice(together.indexOf(group), 1);
  const image = told.undone.photo || (shown === "photos" ? told.undone.photos[0] : "");
  if (group.length > 1) toast(`Undone: ${told.undone.action} of ${counted(group.length, "photo")}`);
  else toast(`Undone: ${told.undone.action} ${image || told.undone.individual || ""}`);
  if (image && all.index.has(image)) { show("photos"); await open(image); }
  else refresh();
}

async function grade(kind, value) {
  if (!photo) return;
  const told = await send("decide", { action: "grade", photo: photo.image, [kind]: value });
  if (!told) return;
  photo.grade = GRADES.map((name, index) => (name === kind ? value : photo.grade?.[index] ?? null));
  drawGrades();
}

function drawGrades() {
  for (const [index, kind] of GRADES.entries()) {
    for (const input of document.querySelectorAll(`#decide [data-grade=${kind}] input`)) input.checked = photo.grade?.[index] === +input.value;
  }
}

// What the server tells after a decision, of this page or of another.
function take(told) {
  Object.assign(all, { seen: told.seen, progress: told.progress });
  if (told.touched === null) { // names have changed: all that is not told stands no more
    for (const image of Object.keys(all.stands)) if (!(image in told.stands)) delete all.stands[image];
  }
  for (const [image, stands] of Object.entries(told.stands)) {
    if (stands) all.stands[image] = stands; else delete all.stands[image];
  }
  drawProgress();
  queue.changed(told.touched);
  catalogue.changed();
  proposed.changed();
  if (told.old) alarm("The answers have been made anew since this page was started: end the server and start it again.");
}

function drawProgress() {
  const { photos, decided } = all.progress;
  const bar = byId("progress").querySelector("progress");
  bar.max = photos;
  bar.value = decided;
  byId("progress").querySelector("span").textContent = `${decided} of ${photos}`;
}

async function news() {
  if (document.hidden) return;
  try {
    const before = all.seen;
    const told = await get("news", { seen: before });
    if (told.seen === all.seen && !told.old) return;
    if (before !== all.seen) return; // this page has decided meanwhile, and knows
    take(told);
    if (photo && (told.touched === null || told.touched.includes(photo.image)) && !drawer.active) await open(photo.image, true);
  } catch (error) {
    alarm(error instanceof Refused ? error.message : "The server does not answer. Start it again; nothing that was decided is lost.");
    lost = true;
    return;
  }
  if (lost) { lost = false; alarm(""); flush(); }
}
let lost = false;

async function refresh() {
  catalogue.changed();
  if (photo) await open(photo.image, true);
}

function failed(error) {
  if (error.name === "AbortError") return;
  toast(error instanceof Refused ? error.message : "The server does not answer.");
}

function prefetchNext() {
  for (const image of queue.after(photo.image, 2)) prefetch(picture(image, "crop"));
}

// ---------------------------------------------------------------- views
const VIEWS = ["photos", "proposed", "catalogue"];
let shown = "photos";

function show(name) {
  shown = VIEWS.includes(name) ? name : "photos";
  for (const one of VIEWS) byId(one).hidden = one !== shown;
  for (const button of document.querySelectorAll("[data-view]")) {
    if (button.dataset.view === shown) button.setAttribute("aria-current", "page"); else button.removeAttribute("aria-current");
  }
  queue.remember();
  if (shown === "catalogue") catalogue.show();
  if (shown === "proposed") proposed.show();
}

// ---------------------------------------------------------------- keys
const KEYS = [
  ["1 to 5", "confirm this candidate"], ["Enter", "confirm the candidate that is shown"], ["N", "a new individual"], ["U", "unsure"],
  ["J", "not usable"], ["Z", "undo your last decision"], ["← →", "previous, next photo"], ["↑ ↓", "previous, next candidate"],
  [", .", "previous, next photo of the candidate"], ["M", "matched points"], ["H", "heat map: what made them alike"], ["W", "whole photo or crop"],
  ["F", "mirror the photo (Shift: the candidate)"], ["+ − 0", "larger, smaller, as it was"], ["B", "draw or correct the box"],
  ["E", "select the undecided photos of the encounter; click others; what you decide is said of all (Esc: none)"], ["/", "search any individual"],
  ["D, Q then 1 to 3", "grade distinctiveness, quality"], ["P, C", "proposed new individuals, catalogue (Esc: back)"],
  ["A, S, V, X", "catalogue: tick all photos, split, move, do not use those that are ticked"], ["?", "these keys"],
];

const ACTIONS = {
  n: () => decide("new"), u: () => decide("unsure"), j: () => decide("unusable"), z: () => undo(),
  ArrowLeft: () => step(-1), ArrowRight: () => step(1),
  ArrowUp: () => choose((place - 1 + candidates.length) % candidates.length), ArrowDown: () => choose((place + 1) % candidates.length),
  ",": () => turnBy(-1), ".": () => turnBy(1), m: () => points(), h: () => heat(), w: () => showWhole(), f: () => left.flip(), F: () => right.flip(),
  "+": () => view.zoom(1.4), "=": () => view.zoom(1.4), "-": () => view.zoom(1 / 1.4), 0: () => view.reset(), b: () => draw(), e: () => selectEncounter(), Escape: () => selection.clear(),
  "/": () => byId("find").focus(), d: () => gradeNext("distinctiveness"), q: () => gradeNext("quality"),
  Enter: () => (byId("confirm").disabled ? null : confirm(place)),
};

function gradeNext(kind) {
  pending = kind;
  toast(`${kind}: press 1, 2 or 3 (3 is best)`);
}

function step(by) {
  const image = queue.by(photo?.image, by);
  if (image) return open(image);
  toast(by > 0 ? "This is the last photo of the list." : "This is the first photo of the list.");
  return null;
}

function typed(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const { target, key } = event;
  if (drawer.active && !target.closest("input, button, summary") && drawer.key(event)) { event.preventDefault(); return; }
  const writing = target.closest("input:not([type=radio]):not([type=checkbox]):not([type=range]), select, textarea");
  if (writing) { if (key === "Escape") target.blur(); return; }
  if (key === "?") { byId("keys").showModal(); return; }
  if (key === "Escape" && shown !== "photos") { show("photos"); return; }
  if (key.toLowerCase() === "p" || key.toLowerCase() === "c") { show(key.toLowerCase() === "p" ? "proposed" : "catalogue"); return; }
  if (shown !== "photos") {
    if (key.toLowerCase() === "z") inTurn(() => undo());
    else if (shown === "catalogue" && catalogue.key(key.toLowerCase())) event.preventDefault();
    return;
  }
  if (!photo) return;
  if (pending && ["1", "2", "3"].includes(key)) { event.preventDefault(); grade(pending, +key); pending = ""; return; }
  pending = "";
  if (/^[1-5]$/.test(key)) { inTurn(() => (candidates[key - 1]?.searched ? null : confirm(key - 1))); return; }
  if (key === "Enter" && target.closest("button, summary, a, [role=listbox]")) return; // it presses what has the focus
  if (key.startsWith("Arrow") && target.closest("input, [role=listbox]")) return;
  const action = ACTIONS[key] ?? ACTIONS[key.toLowerCase()];
  if (!action) return;
  event.preventDefault();
  if (/^([nujz]|Enter|Arrow.*)$/i.test(key)) inTurn(action); else action();
}

// ---------------------------------------------------------------- the parts of the page
function button(text, action, more = {}) {
  return make("button", { type: "button", onclick: action, ...more }, text);
}

function build() {
  const zoom = [button("+", () => view.zoom(1.4), { "aria-label": "larger" }), button("−", () => view.zoom(1 / 1.4), { "aria-label": "smaller" }),
    button("1:1", () => view.reset(), { "aria-label": "as it was", title: "as it was (0)" })];
  byId("asked").querySelector(".tools").append(...zoom, ...left.tools("F"),
    button("Whole photo", () => showWhole(), { id: "whole", "aria-pressed": "false", title: "whole photo or crop (W)" }), button("Box", draw, { id: "box", title: "draw or correct the box (B)" }),
    button("Select encounter", selectEncounter, { id: "encounter", "aria-pressed": "false", title: "select the undecided photos of this encounter, to decide on all at once (E)" }));
  byId("candidate").querySelector(".tools").append(
    button("‹", () => turnBy(-1), { "aria-label": "previous photo of the candidate", title: "previous photo (,)" }), button("›", () => turnBy(1), { "aria-label": "next photo of the candidate", title: "next photo (.)" }),
    ...right.tools("Shift F"), button("Points", points, { id: "points", "aria-pressed": "false", title: "matched points (M)" }), button("Heat map", heat, { id: "heat", "aria-pressed": "false", title: "what made them alike (H)" }));
  const key = (text, name) => [make("kbd", {}, name), " " + text];
  byId("buttons").append(
    make("button", { type: "button", id: "confirm", class: "main", onclick: () => inTurn(() => confirm(place)) }, "Confirm"),
    make("button", { type: "button", onclick: () => inTurn(() => decide("new")) }, ...key("New individual", "N")), make("button", { type: "button", onclick: () => inTurn(() => decide("unsure")) }, ...key("Unsure", "U")),
    make("button", { type: "button", onclick: () => inTurn(() => decide("unusable")) }, ...key("Not usable", "J")), make("button", { type: "button", onclick: () => inTurn(() => undo()) }, ...key("Undo", "Z")),
    make("button", { type: "button", onclick: () => step(-1), "aria-label": "previous photo" }, "←"), make("button", { type: "button", onclick: () => step(1), "aria-label": "next photo" }, "→"));
  for (const kind of GRADES) {
    byId("decide").querySelector(`[data-grade=${kind}]`).append(...[1, 2, 3].map((value) => make("label", {},
      make("input", { type: "radio", name: kind, value, onchange: () => grade(kind, value) }), String(value))));
  }
  byId("keys").querySelector("dl").append(...KEYS.flatMap(([name, meaning]) => [make("dt", {}, make("kbd", {}, name)), make("dd", {}, meaning)]));
  new NameSearch(byId("find"), byId("names"), (one) => searched(one.name, one.image, one.photos));
  for (const dialog of document.querySelectorAll("dialog")) closable(dialog);
  byId("help").addEventListener("click", () => byId("keys").showModal());
  for (const one of document.querySelectorAll("[data-view]")) one.addEventListener("click", () => show(one.dataset.view));
  document.addEventListener("keydown", typed);
  themes(byId("theme"));
}

// An individual that was searched for joins the candidates.
function searched(name, image, photos) {
  let at = candidates.findIndex((one) => one.identity === name);
  if (at < 0) {
    candidates = candidates.filter((one) => !one.searched);
    at = candidates.push({ identity: name, new: false, searched: true, probability: null, score: 0, match: null, image, photos }) - 1;
    place = at;
    drawAnswers();
  }
  byId("find").value = "";
  byId("asked").querySelector(".stage").focus({ preventScroll: true });
  choose(at);
}

const selection = new Selection(() => photo && drawPicked(), () => selection.clear());
const queue = new Queue(all, (image, clicked) => (clicked && selection.active ? pick(image) : open(image)), () => shown);
const catalogue = new Catalogue({ send, refresh: () => photo && open(photo.image, true), open: (image) => { show("photos"); open(image); } });
const proposed = new Proposed({ send, open: (image) => { show("photos"); open(image); } });

async function start() {
  build();
  try {
    Object.assign(all, await get("overview"));
  } catch (error) { alarm(error.message); return; }
  all.index = new Map(all.images.map((image, number) => [image, number]));
  byId("title").textContent = all.title;
  who.value = localStorage.getItem("finprint who") ?? all.who;
  who.addEventListener("change", () => localStorage.setItem("finprint who", who.value.trim()));
  if (all.old) alarm("The answers have been made anew since the server was started: end it and start it again.");
  drawProgress();
  const at = queue.start();
  await flush(); // what an earlier page could not send
  show(at.view);
  const first = at.image ?? queue.first();
  if (first) await open(first);
  document.body.dataset.ready = Math.round(performance.now());
  setInterval(news, POLL);
}

start();
