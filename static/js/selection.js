// Choosing rows. Checkboxes of one name are the selection; [data-select-all="name"] ticks all of them on the page.
// [data-select-match] selects all that the filter finds, on this page or another: [data-selects-match], a hidden box, is
// ticked then. Whatever they are ticked for, #vm_toolbar is read again: the server says what applies to the selection.
//   data-submit-on-change   a select that submits its form
import { refresh } from "./live.js";

const boxes = (name) => [...document.querySelectorAll(`input[type=checkbox][name="${name}"]`)];

function showAll(all) {
  const mine = boxes(all.dataset.selectAll);
  const ticked = mine.filter((box) => box.checked).length;
  all.checked = ticked > 0 && ticked === mine.length;
  all.indeterminate = ticked > 0 && ticked < mine.length;
}

const matching = () => document.querySelector("[data-selects-match]");

function selectMatching(wanted) {
  const box = matching();
  if (box) box.checked = wanted;
}

function tickAll(wanted) {
  for (const box of boxes("vm")) box.checked = wanted;
}

function changed() {
  document.querySelectorAll("[data-select-all]").forEach(showAll);
  const toolbar = document.getElementById("vm_toolbar");
  if (toolbar) refresh(toolbar);
}

document.addEventListener("change", (event) => {
  const { target } = event;
  if (target.matches("[data-select-all]")) {
    for (const box of boxes(target.dataset.selectAll)) box.checked = target.checked;
    selectMatching(false);
    changed();
  } else if (target.matches('input[type=checkbox][name="vm"]')) {
    selectMatching(false);
    changed();
  } else if (target.matches("[data-submit-on-change]")) {
    target.form.requestSubmit();
  }
});

document.addEventListener("click", (event) => {
  if (!event.target.closest?.("[data-select-match]")) return;
  tickAll(true);
  selectMatching(true);
  changed();
  document.querySelector("[data-select-all]")?.focus(); // the button goes
});

// Rows come and go by themselves. One that comes while all that match are selected is one of them.
document.addEventListener("htmx:afterSettle", () => {
  if (matching()?.checked) tickAll(true);
  document.querySelectorAll("[data-select-all]").forEach(showAll);
});
// After Back, the browser restores the boxes without telling.
addEventListener("pageshow", () => {
  if (boxes("vm").some((box) => box.checked)) changed();
});
