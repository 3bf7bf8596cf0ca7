// What the server tells of changes. Without it, live.js asks every few seconds; with it, only when something changed.
//   heard(message)   called for every message: rows (HTML by VM), topics, lost
// A stream of one's own where the browser shares none.
let heard = () => {};

function alone() {
  let source;
  let again;
  const open = () => {
    source = new EventSource("/live/");
    source.onmessage = (event) => heard(JSON.parse(event.data));
    source.onerror = () => {
      heard({ lost: true });
      if (source.readyState === EventSource.CLOSED) again = setTimeout(open, 3000);
    };
  };
  open();
  // A page that is kept for Back must not keep its connection.
  addEventListener("pagehide", () => {
    clearTimeout(again);
    source.close();
  });
  addEventListener("pageshow", (event) => event.persisted && open());
}

function shared() {
  let port;
  let answered = false;
  const join = () => {
    // Named for who has logged in: whoever logs in next in this browser is not brought what was meant for somebody else.
    const name = `vm-portal ${document.body.dataset.viewer}`;
    const worker = new SharedWorker(new URL("./stream-worker.js", import.meta.url), { name });
    port = worker.port;
    port.onmessage = (event) => {
      answered = true;
      heard(event.data);
    };
    worker.onerror = () => answered || alone(); // it could not be loaded
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
