// A button that copies the text of an element: data-copy="id", data-copied and data-not-copied say what became of it.
import { toast } from "./toast.js";

function mark(element) {
  const range = document.createRange();
  range.selectNodeContents(element);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  const element = button && document.getElementById(button.dataset.copy);
  if (!element) return;
  try {
    await navigator.clipboard.writeText(element.textContent); // not there without TLS
    toast("success", button.dataset.copied);
  } catch {
    mark(element);
    toast("info", button.dataset.notCopied);
  }
});
