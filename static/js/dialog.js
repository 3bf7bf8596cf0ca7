// The one <dialog id="dialog">. Whatever htmx swaps into #dialog-content opens it; focus comes back afterwards.
// The server closes it with the header  HX-Trigger: portal:close-dialog.
import { remember } from "./focus.js";

const dialog = document.getElementById("dialog");
const content = document.getElementById("dialog-content");
const toasts = document.getElementById("toasts");
let giveFocusBack = null;
let edited = false;

function open() {
  if (!dialog.open) {
    giveFocusBack = remember(document.activeElement === document.body ? null : document.activeElement);
    edited = false;
    dialog.showModal();
    dialog.append(toasts); // all outside a modal dialog is inert, and messages must stay readable
  }
  const first =
    content.querySelector("[data-error-summary]") ||
    content.querySelector("[autofocus]") ||
    content.querySelector("#dialog-title");
  first?.focus();
}

if (dialog) {
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target !== content) return;
    if (content.childElementCount) open();
    else dialog.close();
  });
  document.addEventListener("portal:close-dialog", () => dialog.close());
  dialog.addEventListener("close", () => {
    content.replaceChildren();
    document.body.append(toasts);
    // The browser gives it back by itself where it can, before this event; whoever was quicker has moved on since.
    if (document.activeElement === document.body) giveFocusBack?.();
    giveFocusBack = null;
  });
  dialog.addEventListener("input", () => (edited = true));
  dialog.addEventListener("click", (event) => {
    if (!event.target.closest("[data-close-dialog]")) return;
    event.preventDefault(); // where the dialog is a page of its own, the control is a link back
    dialog.close();
  });
  // A click that begins and ends on the backdrop closes the dialog, unless something was typed into it.
  let pressedOutside = false;
  const outside = (event) => {
    const box = dialog.getBoundingClientRect();
    return (
      event.target === dialog &&
      (event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom)
    );
  };
  dialog.addEventListener("pointerdown", (event) => (pressedOutside = outside(event)));
  dialog.addEventListener("pointerup", (event) => {
    if (pressedOutside && outside(event) && !edited) dialog.close();
  });
  // Power actions: Enter confirms on the button itself, not from a field.
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches("[data-no-enter] :is(input, select)")) event.preventDefault();
  });
}

// A form that is a page of its own comes back with what is wrong with it as a new page.
document.querySelector("[data-error-summary]")?.focus();

// A link that is said to be a button is pressed with Space, too.
document.addEventListener("keydown", (event) => {
  if (event.key !== " " || !event.target.matches?.('a[role="button"]')) return;
  event.preventDefault();
  event.target.click();
});
