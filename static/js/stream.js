// What the server tells of changes. Without it, live.js asks every few seconds; with it, only when something changed.
//   heard(message)   called for every message: rows (HTML by VM), topics, lost
// A stream of one's own where the browser shares none.
let heard = () => {};

function alone() {
  let source;
  const open = () => {
    source = new EventSource("/live/");
    source.onmessage = (event) => heard(JSON.parse(event.data));
    source.onerror = () => {
      heard({ lost: true });
      if (source.readyState === EventSource.CLOSED) setTimeout(open, 3000);
    };
  };
  open();
  // A page that is kept for Back must not keep its connection.
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => event.persisted && open());
}

function shared() {
  let port;
  const join = () => {
    port = new SharedWorker(new URL("./stream-worker.js", import.meta.url), { name: "vm-portal" }).port;
    port.onmessage = (event) => heard(event.data);
    port.start();
  };
  join();
  addEventListener("pagehide", () => port.postMessage("bye"));
  addEventListener("pageshow", (event) => event.persisted && join());
}

export function listen(callback) {
  heard = callback;
  if (!document.querySelector("[data-live], [data-source]")) return;
  if (typeof SharedWorker === "undefined") alone();
  else shared();
}
