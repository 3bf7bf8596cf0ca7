// Menus. data-menu on an element (a row, a group) names its menu: "#id" of one in the page, or a URL that answers with
// one, loaded into the shared #menu. It opens from the [data-menu-button] inside, by right click, Shift+F10 and the
// ContextMenu key: one and the same menu. Items are links or buttons with role=menuitem and tabindex=-1.
import { remember } from "./focus.js";

const TYPEAHEAD_MS = 700;
let current = null; // { menu, button, giveFocusBack }
let typed = "";
let typedAt = 0;

const items = (menu) => [...menu.querySelectorAll('[role="menuitem"]')];

async function open(owner, point, byKeyboard) {
  const button = owner.querySelector("[data-menu-button]");
  const source = owner.dataset.menu;
  const menu = document.querySelector(source.startsWith("#") ? source : "#menu");
  if (current?.menu.matches(":popover-open")) current.menu.hidePopover();
  const opened = { menu, button, giveFocusBack: remember(byKeyboard && owner.contains(document.activeElement) ? document.activeElement : button) };
  current = opened;
  if (!source.startsWith("#")) {
    await htmx.ajax("GET", source, { source: owner, target: menu, swap: "innerHTML" });
    if (current !== opened || !items(menu).length) return; // another menu was asked for, or the request failed
  }
  menu.showPopover();
  place(menu, point);
  button?.setAttribute("aria-expanded", "true");
  focusItem(menu, 0);
}

function place(menu, { left, top, above }) {
  const box = menu.getBoundingClientRect();
  const margin = 4;
  const x = Math.min(left, innerWidth - box.width - margin);
  const fits = top + box.height + margin <= innerHeight;
  const y = fits ? top : Math.max(margin, Math.min(above - box.height, innerHeight - box.height - margin));
  menu.style.left = `${Math.max(margin, x)}px`;
  menu.style.top = `${y}px`;
}

function below(element) {
  const box = element.getBoundingClientRect();
  return { left: box.left, top: box.bottom + 2, above: box.top - 2 };
}

function focusItem(menu, index) {
  const all = items(menu);
  all.at(((index % all.length) + all.length) % all.length)?.focus();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-menu-button]");
  if (!button) return;
  const owner = button.closest("[data-menu]");
  if (current?.button === button && button.getAttribute("aria-expanded") === "true") current.menu.hidePopover();
  else open(owner, below(button), true);
});

document.addEventListener("contextmenu", (event) => {
  const owner = event.target.closest?.("[data-menu]");
  if (!owner || event.target.closest("[popover], input, textarea, select") || event.shiftKey) return;
  if (String(getSelection()).trim()) return; // the browser's own menu can copy it
  event.preventDefault();
  open(owner, { left: event.clientX, top: event.clientY, above: event.clientY }, false);
});

// A shortcut asks for it from wherever focus is in the row.
document.addEventListener("portal:open-menu", (event) => {
  const owner = event.target.closest("[data-menu]");
  if (owner) open(owner, below(owner.querySelector("[data-menu-button]") || owner), true);
});

document.addEventListener("keydown", (event) => {
  const asked = event.key === "ContextMenu" || (event.key === "F10" && event.shiftKey);
  const owner = asked && event.target.closest?.("[data-menu]");
  if (owner && !event.target.closest("[popover]")) {
    event.preventDefault();
    open(owner, below(event.target === owner ? owner.querySelector("[data-menu-button]") || owner : event.target), true);
    return;
  }
  const menu = event.target.closest?.("[popover]");
  if (menu && menu === current?.menu) moveInside(menu, event);
});

function moveInside(menu, event) {
  const all = items(menu);
  const at = all.indexOf(document.activeElement);
  const moves = { ArrowDown: at + 1, ArrowUp: at < 0 ? -1 : at - 1, Home: 0, End: -1 };
  if (event.key in moves) {
    event.preventDefault();
    focusItem(menu, moves[event.key]);
  } else if (event.key === "Tab") {
    event.preventDefault();
    menu.hidePopover();
  } else if (event.key === " " && document.activeElement.matches("a")) {
    event.preventDefault();
    document.activeElement.click();
  } else if (event.key.length === 1 && /\S/.test(event.key) && !event.ctrlKey && !event.metaKey && !event.altKey) {
    const now = performance.now();
    typed = now - typedAt < TYPEAHEAD_MS ? typed + event.key.toLowerCase() : event.key.toLowerCase();
    typedAt = now;
    const start = typed.length > 1 ? at : at + 1;
    const order = [...all.slice(start), ...all.slice(0, start)];
    order.find((item) => item.textContent.trim().toLowerCase().startsWith(typed))?.focus();
  }
}

// Before an item acts: one that is not allowed does nothing (its tooltip says why); any other closes the menu first,
// so that a dialog it opens gives focus back to where the menu came from.
document.addEventListener(
  "click",
  (event) => {
    const item = event.target.closest?.('[popover] [role="menuitem"]');
    if (!item) return;
    if (item.getAttribute("aria-disabled") === "true") {
      event.preventDefault();
      event.stopPropagation();
      return;
    }
    item.closest("[popover]").hidePopover();
  },
  { capture: true },
);

document.addEventListener(
  "beforetoggle",
  (event) => {
    if (event.target !== current?.menu || event.newState !== "closed") return;
    const { menu, button, giveFocusBack } = current;
    const heir = button?.isConnected ? button : button?.id && document.getElementById(button.id);
    if (heir) heir.setAttribute("aria-expanded", "false");
    if (menu.contains(document.activeElement) || document.activeElement === document.body) giveFocusBack();
    current = null;
  },
  { capture: true },
);
