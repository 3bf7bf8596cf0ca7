// One stream for all tabs of a browser: HTTP/1.1 gives a host six connections, and a stream takes one for good.
// Every message of the server goes to every tab, and { lost: true } when the stream is down.
const tabs = new Set();
let source;
let last = { lost: true }; // what a tab that opens now has to know
let again;

function tell(message) {
  for (const tab of tabs) tab.postMessage(message);
}

function open() {
  clearTimeout(again);
  source = new EventSource("/live/");
  source.onmessage = (event) => {
    const message = JSON.parse(event.data);
    if ("lost" in message) last = { lost: message.lost };
    tell(message);
  };
  source.onerror = () => {
    last = { lost: true };
    tell(last);
    // The browser tries again by itself, but not after an answer like "forbidden" or "bad gateway".
    if (source.readyState === EventSource.CLOSED) again = setTimeout(open, 3000);
  };
}

onconnect = (event) => {
  const [tab] = event.ports;
  tabs.add(tab);
  tab.onmessage = () => tabs.delete(tab); // the tab is closed, or asleep
  tab.postMessage(last);
  if (!source) open();
};
