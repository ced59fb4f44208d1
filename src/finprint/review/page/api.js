// What the server is asked and told. The page's address ends with the token, so relative addresses bear it.
import { alarm } from "./dom.js";

export class Refused extends Error {} // the server has said no, and why

const RETRY = 1500; // ms

async function answered(response) {
  const type = response.headers.get("Content-Type") ?? "";
  if (!type.startsWith("application/json")) throw new Refused("The server refuses this page: open the address that it has printed last.");
  const value = await response.json();
  if (!response.ok) throw new Refused(value.error);
  return value;
}

export async function get(path, asked = {}, signal = undefined) {
  return answered(await fetch(path + "?" + new URLSearchParams(asked), { signal }));
}

export const picture = (image, kind, more = {}) => "picture?" + new URLSearchParams({ image, kind, ...more });
export const small = (image) => picture(image, "small");

// A picture as a Blob, with what a person must know of it.
export async function fetched(address, signal) {
  const response = await fetch(address, { signal });
  if (!response.ok) await answered(response);
  return { blob: await response.blob(), note: decodeURIComponent(response.headers.get("X-Note") ?? "") };
}

// ---------------------------------------------------------------- the outbox
// A decision stands in the browser's own storage until the server has written it into the log. So none is lost where
// the browser is closed or the server is down. Each has an id: the server writes one that comes twice once.
const OUTBOX = "finprint outbox " + location.pathname;
const waiting = new Map(); // id: [resolve, reject]
let sending = null;

const held = () => JSON.parse(localStorage.getItem(OUTBOX) ?? "[]");
const hold = (items) => localStorage.setItem(OUTBOX, JSON.stringify(items));
const newId = () => [...crypto.getRandomValues(new Uint8Array(6))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

export function post(path, given) {
  const item = { path, given: { id: newId(), ...given } };
  hold([...held(), item]);
  const done = new Promise((resolve, reject) => waiting.set(item.given.id, [resolve, reject]));
  flush();
  return done;
}

export function flush() {
  sending ??= empty().finally(() => { sending = null; });
  return sending;
}

async function empty() {
  for (let items = held(); items.length; items = held()) {
    const { path, given } = items[0];
    const [resolve, reject] = waiting.get(given.id) ?? [() => {}, (error) => alarm(error.message)];
    let outcome;
    try {
      const body = JSON.stringify(given);
      const headers = { "Content-Type": "application/json" };
      const value = await answered(await fetch(path, { method: "POST", headers, body, keepalive: body.length < 60000 }));
      outcome = () => resolve(value);
      alarm("");
    } catch (error) {
      if (!(error instanceof Refused)) {
        alarm("The server does not answer. Your last decision waits in this browser and is sent as soon as it does.");
        await new Promise((wake) => setTimeout(wake, RETRY));
        continue;
      }
      outcome = () => reject(error);
    }
    hold(held().filter((item) => item.given.id !== given.id));
    waiting.delete(given.id);
    outcome();
  }
}
