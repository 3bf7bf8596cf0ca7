// Counts down to data-deadline (ISO time) each second, silently: stages are announced by live.js, seconds are not.
//   <span data-deadline="…">                       shows m:ss
//   <progress data-deadline="…" data-started="…">  fills up
// The clock is the server's: <meta name="server-time"> at load.
const server = Date.parse(document.querySelector('meta[name="server-time"]')?.content ?? "");
const skew = Number.isNaN(server) ? 0 : server - (performance.timeOrigin + (performance.getEntriesByType("navigation")[0]?.responseStart ?? 0));
// Below two seconds it is the network's delay and the meta's whole seconds, not a wrong clock.
const now = () => Date.now() + (Math.abs(skew) > 2000 ? skew : 0);

function show(element) {
  const left = Math.max(0, Math.ceil((Date.parse(element.dataset.deadline) - now()) / 1000));
  if (Number.isNaN(left)) return;
  if (element instanceof HTMLProgressElement) {
    const started = Date.parse(element.dataset.started);
    element.max = Math.max(1, Date.parse(element.dataset.deadline) - started);
    element.value = Math.min(element.max, Math.max(0, now() - started));
    return;
  }
  const hours = Math.floor(left / 3600);
  const minutes = Math.floor((left % 3600) / 60);
  const text = `${hours ? `${hours}:${String(minutes).padStart(2, "0")}` : minutes}:${String(left % 60).padStart(2, "0")}`;
  if (element.textContent !== text) element.textContent = text;
}

const showAll = () => document.querySelectorAll("[data-deadline]").forEach(show);
showAll();
setInterval(showAll, 500);
document.addEventListener("htmx:afterSettle", showAll);
