// The console of a VM: its screen by noVNC, through the portal's WebSocket. The page connects by itself, also across a
// reboot: a live part of the page is kept fresh like all of them, and says whether there is a screen.
//   #console              data-ticket, data-socket, data-client: addresses; the other data-* are the sentences shown
//   #vm_console_refusal   data-refusal: why there is no screen now

// Why the portal closed a console: vms/console/proxy.py, Code.
const RUN_ENDED = 4000;
const NO_DISPLAY = 4001;
const FORBIDDEN = 4003;
const HOST_AWAY = 4005;

const FIRST_GAP_MS = 500;
const LONGEST_GAP_MS = 5000;
const NO_DISPLAY_GAP_MS = 30_000;
const TYPING_GAP_MS = 30; // a guest's keyboard holds a few keys only

const root = document.getElementById("console");
const part = (name) => document.getElementById(`console_${name}`);
const screen = part("screen");
const refusal = () => document.getElementById("vm_console_refusal").dataset.refusal;

let RFB;
let rfb; // while a screen is shown
let busy = false; // an attempt is under way, or a screen is shown
let finished = false;
let refused = false; // there is no screen now, as the live part says
let failures = 0;
let retry;

function say(state, ...sentences) {
  root.dataset.state = state;
  const text = sentences.filter(Boolean).join(" ");
  if (part("state").textContent !== text) part("state").textContent = text;
}

function setReady(ready) {
  for (const name of ["type", "cad", "type_text"]) part(name).setAttribute("aria-disabled", String(!ready));
}

function finish(sentence) {
  finished = true;
  say("finished", sentence);
}

function again(gap = Math.min(LONGEST_GAP_MS, FIRST_GAP_MS * 2 ** failures++)) {
  busy = false;
  clearTimeout(retry);
  retry = setTimeout(attempt, gap);
}

// Returns a ticket, or nothing when there is none now; what is then to be said has been said.
async function ticket() {
  let answer;
  try {
    answer = await fetch(root.dataset.ticket, {
      method: "POST",
      headers: { "X-CSRFToken": root.querySelector("[name=csrfmiddlewaretoken]").value },
    });
    if (answer.redirected) {
      const login = document.body.dataset.loginUrl;
      location.assign(`${login}?next=${encodeURIComponent(location.pathname)}`);
      return undefined;
    }
    if (answer.status === 403 || answer.status === 404) {
      finish(root.dataset.forbidden);
      return undefined;
    }
    const told = await answer.json();
    if (answer.ok) return told.ticket;
    say("waiting", told.detail, root.dataset.waiting);
    document.dispatchEvent(new Event("portal:refresh")); // the live part is older than that
  } catch {
    say("waiting", root.dataset.portalAway, root.dataset.waiting);
  }
  again();
  return undefined;
}

async function attempt() {
  if (busy || finished) return;
  clearTimeout(retry);
  refused = Boolean(refusal());
  if (refused) {
    say("waiting", refusal(), root.dataset.waiting);
    return; // the live part tells when that is over
  }
  busy = true;
  if (!failures) say("connecting", root.dataset.connecting);
  const secret = await ticket();
  if (secret) open(secret);
}

function open(secret) {
  const address = new URL(`${root.dataset.socket}?ticket=${secret}`, location.href);
  address.protocol = address.protocol.replace("http", "ws");
  const socket = new WebSocket(address);
  let shown; // the screen of this connection
  // Before noVNC's own listener: an end that was told is no failure of its.
  socket.addEventListener("close", (event) => {
    const focused = screen.contains(document.activeElement);
    shown?.disconnect();
    rfb = undefined;
    setReady(false);
    if (focused) screen.focus();
    if (!finished) closed(event);
  });
  shown = new RFB(screen, socket);
  shown.scaleViewport = part("fit").getAttribute("aria-pressed") === "true";
  shown.addEventListener("connect", () => connected(shown));
  shown.addEventListener("credentialsrequired", () => {
    finish(root.dataset.password);
    socket.close();
  });
}

function connected(shown) {
  rfb = shown;
  failures = 0;
  const canvas = screen.querySelector("canvas");
  canvas.tabIndex = 0; // for those who come by keyboard
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", root.dataset.screen);
  canvas.setAttribute("aria-describedby", "console_hint");
  setReady(true);
  say("connected", root.dataset.connected);
  if ([document.body, screen].includes(document.activeElement)) rfb.focus();
}

function closed(event) {
  const words = root.dataset;
  if (event.code === NO_DISPLAY) {
    say("waiting", words.noDisplay, event.reason);
    again(NO_DISPLAY_GAP_MS);
    return;
  }
  const sentence = { [RUN_ENDED]: words.ended, [FORBIDDEN]: words.forbidden, [HOST_AWAY]: words.hostAway }[event.code];
  say("waiting", sentence ?? words.portalAway, event.code === FORBIDDEN ? "" : words.waiting);
  again(); // one that was forbidden is told so for good by the next ticket
}

// Leaving the screen by keyboard -------------------------------------------------------------------------------------

function leave(event) {
  const modifier = /^(Control|Alt|Shift)/.test(event.code);
  if (!modifier || !event.ctrlKey || !event.altKey || !event.shiftKey) return;
  event.preventDefault();
  event.stopPropagation();
  dispatchEvent(new Event("blur")); // has noVNC let go of the keys that the guest believes to be held
  part("type").focus();
}

// Controls -------------------------------------------------------------------------------------------------------------

function whenReady(name, act) {
  part(name).addEventListener("click", () => rfb && act());
}

const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const RETURN = 0xff0d;
const TAB = 0xff09;
const SHIFT = 0xffe1;

function keyOf(character) {
  if (character === "\n") return RETURN;
  if (character === "\t") return TAB;
  const point = character.codePointAt(0);
  return point < 0x100 ? point : 0x1000000 + point; // X11's numbers of keys
}

async function typeText(text) {
  const typing = rfb;
  for (const character of text.replaceAll("\r\n", "\n")) {
    if (rfb !== typing) return; // another run, perhaps at a login
    const shifted = /[A-Z~!@#$%^&*()_+{}|:"<>?]/.test(character);
    if (shifted) typing.sendKey(SHIFT, "ShiftLeft", true);
    typing.sendKey(keyOf(character));
    if (shifted) typing.sendKey(SHIFT, "ShiftLeft", false);
    await wait(TYPING_GAP_MS);
  }
}

function setUp() {
  screen.addEventListener("keydown", leave, { capture: true }); // before noVNC, which takes every key
  whenReady("type", () => rfb.focus());
  whenReady("cad", () => rfb.sendCtrlAltDel());
  part("fit").addEventListener("click", ({ currentTarget }) => {
    const fit = currentTarget.getAttribute("aria-pressed") !== "true";
    currentTarget.setAttribute("aria-pressed", String(fit));
    if (rfb) rfb.scaleViewport = fit;
  });
  part("full").addEventListener("click", async () => {
    if (document.fullscreenElement) return document.exitFullscreen();
    await root.requestFullscreen();
    rfb?.focus();
    return navigator.keyboard?.lock?.(["Escape"]); // Escape is the guest's; held down it still leaves
  });
  document.addEventListener("fullscreenchange", () => {
    part("full").setAttribute("aria-pressed", String(document.fullscreenElement === root));
  });
  part("paste_form").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = part("text");
    if (!rfb || !text.value) return;
    typeText(text.value);
    text.value = "";
  });
  // The live part, perhaps, was read again.
  document.addEventListener("htmx:afterSettle", () => refused && attempt());
}

async function begin() {
  try {
    ({ default: RFB } = await import(root.dataset.client));
  } catch {
    finish(root.dataset.unsupported);
    return;
  }
  setUp();
  attempt();
}

if (root) begin();
