// Giving focus back to a control that a swap may have replaced meanwhile.

// Returns a function that focuses `element`, else the element that now has its id, else the main landmark.
export function remember(element) {
  const id = element?.id;
  return () => {
    const heir = element?.isConnected ? element : id && document.getElementById(id);
    (heir || document.getElementById("main"))?.focus({ preventScroll: Boolean(heir) });
  };
}

// What has the keyboard may go with an update: a row that matches no more, a button of an operation that has ended. Then
// what is next to it has the keyboard, and never the beginning of the page.
const FOCUSABLE = "a[href], button:enabled, input:enabled:not([type=hidden]), select:enabled, textarea:enabled, summary";
let holder = null;
document.addEventListener("focusin", (event) => (holder = event.target));
document.addEventListener("pointerdown", () => (holder = null), { capture: true }); // a mouse may leave it nowhere

// The control beside `gone` that is most like it, `at` being the mutation that took it away.
function neighbour(gone, at) {
  const alike = gone.name ? `[name="${CSS.escape(gone.name)}"]:enabled` : FOCUSABLE;
  const first = (element) =>
    [...element.querySelectorAll(alike), ...element.querySelectorAll(FOCUSABLE)].find((found) => found.checkVisibility());
  for (const side of ["nextSibling", "previousSibling"]) {
    for (let node = at[side]; node; node = node[side]) {
      const found = node instanceof Element && (node.matches(FOCUSABLE) ? node : first(node));
      if (found) return found;
    }
  }
  for (let around = at.target; around?.isConnected && !around.matches("main, dialog, body"); around = around.parentElement) {
    const found = first(around);
    if (found) return found;
  }
  return null;
}

new MutationObserver((records) => {
  const gone = holder;
  if (!gone || gone.isConnected || document.activeElement !== document.body) return;
  holder = null;
  const at = records.find((record) => [...record.removedNodes].some((node) => node.contains(gone)));
  const heir = (gone.id && document.getElementById(gone.id)) || (at && neighbour(gone, at));
  (heir || document.getElementById("main"))?.focus({ preventScroll: Boolean(heir) });
}).observe(document.body, { childList: true, subtree: true });

// Says `text` through the polite live region, also when it is the same text again.
export function announce(text) {
  const region = document.getElementById("announcer");
  if (!region || !text) return;
  const line = document.createElement("p");
  line.textContent = text;
  region.append(line);
  while (region.children.length > 3) region.firstElementChild.remove();
}

// Back leads to the control that was left, not only to the page: browsers remember where a page was scrolled, but not
// what had the keyboard, unless they keep the whole page.
const KEY = `focus:${location.pathname}${location.search}`;
addEventListener("pagehide", () => {
  try {
    sessionStorage.setItem(KEY, document.activeElement?.id ?? "");
  } catch {
    // storage is switched off: Back leads to the page alone
  }
});
if (performance.getEntriesByType("navigation")[0]?.type === "back_forward") {
  try {
    const left = sessionStorage.getItem(KEY);
    if (left) document.getElementById(left)?.focus({ preventScroll: true });
  } catch {
    // as above
  }
}
