// Single keys, listed by `?`. They do nothing while somebody types, in a dialog, in a menu, or where they are switched
// off (data-shortcuts on the body, which WCAG 2.1.4 wants). A page says what a key means on it:
//   [data-shortcut="r"]           a control that the key presses, where it can be pressed
//   [data-shortcut-r="URL"]       on a row: what the key opens for it, where no row is selected
import { remember } from "./focus.js";

const rows = () => [...document.querySelectorAll("#vm_table tbody tr")];
const rowAt = () => document.activeElement?.closest?.("#vm_table tbody tr");
const boxOf = (row) => row?.querySelector('input[name="vm"]');
let last = ""; // id of the row that was last moved to: focus may have been elsewhere meanwhile

const current = () => rowAt() ?? (last && document.getElementById(last));

function move(by) {
  const all = rows();
  const at = all.indexOf(current());
  const row = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + by))];
  if (!row) return;
  last = row.id;
  boxOf(row).focus();
  row.scrollIntoView({ block: "nearest" });
}

function press(key) {
  const control = document.querySelector(`[data-shortcut="${key}"]`);
  const selected = document.querySelector('input[name="vm"]:checked');
  const url = current()?.getAttribute(`data-shortcut-${key}`);
  if (url && !selected) htmx.ajax("GET", url, { target: "#dialog-content", swap: "innerHTML" });
  else if (control?.getAttribute("aria-disabled") === "true") control.focus(); // its tooltip says why not
  else control?.click();
}

const KEYS = {
  "?": () => htmx.ajax("GET", document.body.dataset.shortcutsUrl, { target: "#dialog-content", swap: "innerHTML" }),
  "/": () => document.getElementById("vm_filter_text")?.select(),
  j: () => move(1),
  k: () => move(-1),
  x: () => boxOf(current())?.click(),
  ".": () => {
    boxOf(current())?.focus();
    rowAt()?.dispatchEvent(new CustomEvent("portal:open-menu", { bubbles: true }));
  },
  r: () => press("r"),
  e: () => press("e"),
};

const typing = (target) =>
  target.closest?.("input:not([type=checkbox], [type=radio], [type=button], [type=submit]), textarea, select, canvas, [contenteditable]");

document.addEventListener("keydown", (event) => {
  if (document.body.dataset.shortcuts !== "on" || event.defaultPrevented || event.isComposing) return;
  if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS) || typing(event.target)) return;
  if (document.querySelector("dialog[open], :popover-open")) return;
  event.preventDefault();
  KEYS[event.key]();
});

// The switch in the list of shortcuts holds at once.
document.addEventListener("portal:shortcuts", (event) => {
  document.body.dataset.shortcuts = event.detail.on ? "on" : "off";
});

// A hint that goes takes the focus with it: back to the page.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target?.matches?.(".portal-hint")) remember(null)();
});
