// The one place where a page is kept fresh. An element with an id and data-live="URL" is replaced by what the URL
// answers (the same element), morphed so that focus, selection and open parts stay. While the stream tells of changes,
// that is done when one of the element's topics is told, and parts that the stream brings are put in their places;
// without it, every few seconds. Refreshed at once on the event portal:refresh (header HX-Trigger: portal:refresh) and
// when the tab is shown again; paused while it is hidden.
//   data-live-every   seconds between two refreshes (default 2)
//   data-topics       what the stream has to tell for a refresh; an element without any is refreshed by the clock
//   data-rows-move    a changed row may belong elsewhere, or nowhere: the whole is read again, too
//   data-source       instead of data-live: refreshed only when another module calls refresh()
//   data-announce     on any element with an id: said politely when it changes
import { announce } from "./focus.js";
import { listen } from "./stream.js";

const EVERY_S = 2;
const STREAMED_EVERY_S = 60; // a net under the stream
const ROWS_MOVE_S = 2;
const INTERRUPTED_S = 5;
const TOPIC_S = 1; // a refresh that a topic asks for follows the one before no sooner
const SLOWEST_S = 30;
const SPREAD_S = 1; // pages that are all told to read themselves again do not all ask in the same moment
const due = new Map(); // element id -> moment of its next refresh
const inFlight = new Map(); // element id -> parts (HTML by id) that the stream has brought since it was asked for
const outdated = new Set(); // ids of those in flight whose answer is no longer wanted
const refreshedAt = new Map(); // element id -> moment of its last refresh
let failures = 0;
let streaming = false;

const every = (element) =>
  streaming && "topics" in element.dataset
    ? 1000 * STREAMED_EVERY_S
    : 1000 * Number(element.dataset.liveEvery || EVERY_S) * 2 ** Math.min(failures, 5);
const wait = (element) => Math.min(every(element), Math.max(1000 * SLOWEST_S, 1000 * Number(element.dataset.liveEvery || 0)));

export function refresh(element) {
  const id = element.id;
  if (!id) return;
  if (inFlight.has(id)) {
    outdated.add(id);
    return;
  }
  inFlight.set(id, new Map());
  refreshedAt.set(id, performance.now());
  due.set(id, Infinity); // what asks for another one from now on is not answered by this one
  htmx
    .ajax("GET", element.dataset.live || element.dataset.source, { source: element, target: element, swap: "morph:outerHTML" })
    .catch(() => {}) // counted by the events below
    .finally(() => {
      const newer = inFlight.get(id);
      inFlight.delete(id);
      due.set(id, Math.min(due.get(id), performance.now() + wait(element)));
      const heir = document.getElementById(id);
      if (outdated.delete(id) && heir) refresh(heir);
      else for (const [part, html] of newer) put(part, html);
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
    if (inFlight.has(element.id)) continue;
    if (!due.has(element.id)) due.set(element.id, now + wait(element));
    else if (due.get(element.id) <= now) refresh(element);
  }
}

function connected(ok) {
  failures = ok ? 0 : failures + 1;
  const banner = document.getElementById("connection-banner");
  if (banner) banner.hidden = failures < 2; // one lost answer is no news
  // One banner at a time: that nothing answers says that nothing is told, too.
  if (failures >= 2) document.getElementById("stream-banner")?.toggleAttribute("hidden", true);
}

const isLive = (event) => event.detail.elt?.hasAttribute?.("data-live");
document.addEventListener("htmx:afterRequest", (event) => {
  if (isLive(event)) connected(event.detail.successful === true);
});
document.addEventListener("visibilitychange", () => document.hidden || elements().forEach(refresh));
document.addEventListener("portal:refresh", () => elements().forEach(refresh));
setInterval(tick, 250);

// The stream. What it asks for while the tab is hidden is done when it is shown again.
function soon(element, seconds) {
  const moment = Math.max(performance.now(), (refreshedAt.get(element.id) ?? -Infinity) + 1000 * seconds);
  due.set(element.id, Math.min(moment, due.get(element.id) ?? Infinity));
}

function put(id, html) {
  const element = document.getElementById(id);
  const around = (element ?? document.getElementById("vm_board"))?.closest("[data-live]");
  // An answer that is on its way may be older: the part is put in once more, over it. (An older part does no harm. What
  // has changed since is brought by the stream, too.)
  if (around) inFlight.get(around.id)?.set(id, html);
  if (!element) {
    if (around?.hasAttribute("data-rows-move")) soon(around, ROWS_MOVE_S);
    return;
  }
  // Without the context htmx knows no extension, and would put the part inside of what it is to replace.
  htmx.swap(element, html, { swapStyle: "morph:outerHTML", swapDelay: 0, settleDelay: 0 }, { contextElement: element });
  if (around?.hasAttribute("data-rows-move") && element.matches("tr")) soon(around, ROWS_MOVE_S);
}

function told(topics) {
  const all = topics.includes("*");
  for (const element of elements()) {
    const mine = element.dataset.topics?.split(" ") ?? [];
    // Who may see some VMs only is told "operation", without saying which.
    const isTold = (topic) => topics.includes(topic) || topics.includes(topic.split(":")[0]);
    if (all || mine.some(isTold)) soon(element, TOPIC_S + (all ? SPREAD_S * Math.random() : 0));
  }
}

let interrupted; // timer: a stream that is back within seconds is no news, and a page that has just opened has none yet
function setStreaming(now) {
  const banner = document.getElementById("stream-banner");
  clearTimeout(interrupted);
  if (now && banner) banner.hidden = true;
  else if (banner) interrupted = setTimeout(() => (banner.hidden = failures >= 2), 1000 * INTERRUPTED_S);
  if (streaming === now) return;
  streaming = now;
  // What was to come in a minute is now to come in two seconds, or the other way round.
  for (const element of elements()) due.set(element.id, performance.now() + wait(element));
}

listen((message) => {
  if ("lost" in message) setStreaming(!message.lost);
  const parts = Object.entries(message.parts ?? {});
  for (const [id, html] of parts) put(id, html);
  const selected = parts.some(([id]) => document.querySelector(`#${CSS.escape(id)} input[name=vm]:checked`));
  told([...(message.topics ?? []), ...(selected ? ["selection"] : [])]);
});

// What the user did to the page is not undone by a refresh.
const isTyped = (field) =>
  field === document.activeElement ||
  (field.matches("select")
    ? [...field.options].some((option) => option.selected !== option.defaultSelected)
    : field.value !== field.defaultValue);
Idiomorph.defaults.callbacks.beforeNodeMorphed = (before, after) => {
  if (!(before instanceof Element) || !(after instanceof Element)) return true;
  if (before.matches(":popover-open")) return false;
  if (before.matches("input[type=checkbox], input[type=radio]")) after.toggleAttribute("checked", before.checked);
  else if (before.matches("input, textarea, select") && isTyped(before)) return false;
  if (before.matches("details")) after.toggleAttribute("open", before.open);
  if (before.hasAttribute("aria-expanded")) after.setAttribute("aria-expanded", before.getAttribute("aria-expanded"));
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
