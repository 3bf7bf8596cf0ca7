// Giving focus back to a control that a swap may have replaced meanwhile.

// Returns a function that focuses `element`, else the element that now has its id, else the main landmark.
export function remember(element) {
  const id = element?.id;
  return () => {
    const heir = element?.isConnected ? element : id && document.getElementById(id);
    (heir || document.getElementById("main"))?.focus({ preventScroll: Boolean(heir) });
  };
}

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
