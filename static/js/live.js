// The one place where a page is kept fresh. An element with an id and data-live="URL" is replaced by what the URL
// answers (the same element), morphed so that focus, selection and open parts stay. For now by polling; a stream takes
// over by calling refresh() from its messages instead of the timer. Refreshed at once on the event portal:refresh
// (header HX-Trigger: portal:refresh) and when the tab is shown again; paused while it is hidden.
//   data-live-every   seconds between two refreshes (default 2)
//   data-source       instead of data-live: refreshed only when another module calls refresh()
//   data-announce     on any element with an id: said politely when it changes
import { announce } from "./focus.js";

const EVERY_S = 2;
const SLOWEST_S = 30;
const due = new Map(); // element id -> moment of its next refresh
const inFlight = new Set(); // element ids
const outdated = new Set(); // those of them whose answer is no longer wanted
let failures = 0;

const every = (element) => 1000 * Number(element.dataset.liveEvery || EVERY_S) * 2 ** Math.min(failures, 5);
const wait = (element) => Math.min(every(element), Math.max(1000 * SLOWEST_S, 1000 * Number(element.dataset.liveEvery || 0)));

export function refresh(element) {
  const id = element.id;
  if (!id) return;
  if (inFlight.has(id)) {
    outdated.add(id);
    return;
  }
  inFlight.add(id);
  htmx
    .ajax("GET", element.dataset.live || element.dataset.source, { source: element, target: element, swap: "morph:outerHTML" })
    .catch(() => {}) // counted by the events below
    .finally(() => {
      inFlight.delete(id);
      due.set(id, performance.now() + wait(element));
      const heir = document.getElementById(id);
      if (outdated.delete(id) && heir) refresh(heir);
    });
}

// An answer that was on its way when something changed tells of the time before: it is dropped and asked for again.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { target, requestConfig } = event.detail;
  if (outdated.has(target?.id) && requestConfig?.elt === target) event.detail.shouldSwap = false;
});

const elements = () => document.querySelectorAll("[data-live]");

function tick() {
  if (document.hidden) return;
  const now = performance.now();
  for (const element of elements()) {
    if (!due.has(element.id)) due.set(element.id, now + wait(element));
    else if (due.get(element.id) <= now) refresh(element);
  }
}

function connected(ok) {
  failures = ok ? 0 : failures + 1;
  const banner = document.getElementById("connection-banner");
  if (banner) banner.hidden = failures < 2; // one lost answer is no news
}

const isLive = (event) => event.detail.elt?.hasAttribute?.("data-live");
document.addEventListener("htmx:afterRequest", (event) => {
  if (isLive(event)) connected(event.detail.successful === true);
});
document.addEventListener("visibilitychange", () => document.hidden || elements().forEach(refresh));
document.addEventListener("portal:refresh", () => elements().forEach(refresh));
setInterval(tick, 250);

// What the user did to the page is not undone by a refresh.
const USER_STATE = ["aria-expanded", "open"];
Idiomorph.defaults.callbacks.beforeNodeMorphed = (before, after) => {
  if (!(before instanceof Element) || !(after instanceof Element)) return true;
  if (before.matches(":popover-open")) return false;
  if (before.matches("input[type=checkbox], input[type=radio]")) after.toggleAttribute("checked", before.checked);
  else if (before.matches("input, textarea, select") && before === document.activeElement) return false;
  for (const name of USER_STATE) {
    if (before.hasAttribute(name) && (name === "aria-expanded" || before.matches("details"))) {
      after.setAttribute(name, before.getAttribute(name));
    }
  }
  return true;
};

const said = new Map();
function announceChanges(speak) {
  for (const element of document.querySelectorAll("[data-announce]")) {
    const text = element.dataset.announce;
    if (speak && said.get(element.id) !== text) announce(text);
    said.set(element.id, text);
  }
}
announceChanges(false);
document.addEventListener("htmx:afterSettle", () => announceChanges(true));
