// Short messages, and a visible sentence for every htmx request that failed.
// The server says one with the header  HX-Trigger: {"portal:toast": {"level": "success", "message": "…"}}.
import { announce } from "./focus.js";

const SHOWN_FOR_MS = 6000;
// More would cover the page; the oldest good news goes first, and all of it stands in the events.
const AT_MOST = 3;
const region = () => document.getElementById("toasts");

// level: info, success, warning, danger. Warnings and errors stay until they are closed.
export function toast(level, message) {
  const box = document.getElementById("toast-template").content.firstElementChild.cloneNode(true);
  box.classList.add(`pf-m-${level}`);
  for (const icon of box.querySelectorAll("[data-level]")) if (icon.dataset.level !== level) icon.remove();
  box.querySelector(".pf-v6-c-alert__title").textContent = message;
  const same = [...region().children].find((other) => other.textContent === box.textContent);
  same?.remove();
  region().append(box);
  const good = region().querySelectorAll(".pf-m-success, .pf-m-info");
  if (region().children.length > AT_MOST) good[0]?.remove();
  announce(message);
  if (level === "info" || level === "success") dismissLater(box);
}

function dismissLater(box) {
  let timer = setTimeout(() => box.remove(), SHOWN_FOR_MS);
  const stop = () => clearTimeout(timer);
  const start = () => {
    stop();
    timer = setTimeout(() => box.remove(), SHOWN_FOR_MS);
  };
  box.addEventListener("pointerenter", stop);
  box.addEventListener("focusin", stop);
  box.addEventListener("pointerleave", start);
  box.addEventListener("focusout", start);
}

// What the answer itself says, else our sentence for its status. An error page marks its sentence with data-message.
function messageOf(xhr) {
  const type = xhr.getResponseHeader("Content-Type") || "";
  if (type.startsWith("text/plain") && xhr.responseText.length < 500) return xhr.responseText;
  if (type.startsWith("text/html")) {
    const page = new DOMParser().parseFromString(xhr.responseText, "text/html");
    const said = page.querySelector("[data-message]")?.textContent.trim();
    if (said) return said;
  }
  if (type.startsWith("application/") && type.includes("json")) {
    try {
      const answer = JSON.parse(xhr.responseText);
      if (typeof answer.detail === "string") return answer.detail;
    } catch {
      // not JSON after all: our own sentence
    }
  }
  const texts = region().dataset;
  return texts[xhr.status] || (xhr.status >= 500 ? texts["500"] : texts["400"]);
}

const isLive = (event) => event.detail.elt?.hasAttribute?.("data-live"); // live.js speaks for those

document.addEventListener("portal:toast", (event) => toast(event.detail.level || "info", event.detail.message));
document.addEventListener("htmx:responseError", (event) => {
  if (!isLive(event)) toast(event.detail.xhr.status === 409 ? "warning" : "danger", messageOf(event.detail.xhr));
});
for (const failure of ["htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(failure, (event) => {
    if (!isLive(event)) toast("danger", region().dataset.offline);
  });
}
// A session that ended answers with the login page: go there instead of swapping it into a row.
document.addEventListener("htmx:beforeSwap", (event) => {
  const login = document.body.dataset.loginUrl;
  const answered = event.detail.xhr.responseURL;
  if (!answered || !login || new URL(answered).pathname !== login || location.pathname === login) return;
  event.detail.shouldSwap = false;
  location.assign(`${login}?next=${encodeURIComponent(location.pathname + location.search)}`);
});
document.addEventListener("click", (event) => {
  event.target.closest?.("[data-close-toast]")?.closest(".portal-toast").remove();
});
