// Charts of what a VM uses. #vm_charts has data-samples="URL" (JSON: from, to, at, values by name) and a figure for each
// chart: data-chart="names of the values drawn", data-kind="percent|bytes|rate", data-most="name of the value that is the
// top of the scale", data-NAME="what the line is called". Drawn again every ten seconds, and when the theme changes. The
// table below them says the same in words, so the charts themselves are hidden from assistive technology.
import uPlot from "../vendor/uplot/uPlot.esm.min.js";

const EVERY_S = 10;
const HEIGHT = 150;
const GAP = 16;
const X_AXIS = 28;
const Y_AXIS = 72;
// Steps of a scale in bytes: powers of two, so that its marks are round numbers.
const POWERS = Array.from({ length: 60 }, (_none, power) => 2 ** power);
const UNITS = ["B", "KB", "MB", "GB", "TB", "PB"];
const area = document.getElementById("vm_charts");
const charts = new Map(); // figure -> its uPlot
let drawn; // what was drawn last

function bytes(value) {
  const power = value < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log(value) / Math.log(1024)));
  const number = value / 1024 ** power;
  return `${number >= 10 || number % 1 === 0 ? Math.round(number) : number.toFixed(1)} ${UNITS[power]}`;
}
const WRITE = {
  percent: (value) => `${Math.round(100 * value)} %`,
  bytes,
  rate: (value) => `${bytes(value)}/s`,
};

const colour = (name) => getComputedStyle(area).getPropertyValue(name).trim();
const two = (number) => String(number).padStart(2, "0");
function clock(seconds) {
  const moment = new Date(1000 * seconds);
  return `${two(moment.getHours())}:${two(moment.getMinutes())}`;
}

function top(figure, values) {
  const { chart, kind, most } = figure.dataset;
  if (kind === "percent") return 1;
  const known = [...chart.split(" "), ...(most ? [most] : [])].flatMap((name) => values[name]).filter((each) => each !== null);
  return Math.max(1024, ...known) * (most ? 1 : 1.1);
}

function make(figure, data) {
  const write = WRITE[figure.dataset.kind];
  const axis = { stroke: colour("--portal-chart-text"), grid: { stroke: colour("--portal-chart-grid"), width: 1 }, ticks: { show: false } };
  const font = `12px ${getComputedStyle(area).fontFamily}`;
  const value = (_chart, each) => (each === null || each === undefined ? "—" : write(each));
  const series = figure.dataset.chart.split(" ").map((name, number) => ({
    label: figure.getAttribute(`data-${name}`),
    stroke: colour(`--portal-chart-${number + 1}`),
    fill: number === 0 ? colour("--portal-chart-fill") : undefined,
    dash: number === 0 ? undefined : [6, 3], // told apart without colour, too
    width: 2,
    points: { show: false },
    value,
  }));
  const options = {
    width: figure.clientWidth,
    height: HEIGHT,
    cursor: { drag: { x: false, y: false } },
    scales: { x: { time: true, range: () => [drawn.from, drawn.to] }, y: { range: () => [0, top(figure, drawn.values)] } },
    axes: [
      { ...axis, font, size: X_AXIS, space: 70, values: (_chart, splits) => splits.map(clock) },
      {
        ...axis,
        font,
        size: Y_AXIS,
        space: 36,
        incrs: figure.dataset.kind === "percent" ? [0.25, 0.5] : POWERS,
        values: (_chart, splits) => splits.map(write),
      },
    ],
    series: [{ label: area.dataset.time, value: (_chart, at) => (at ? new Date(1000 * at).toLocaleTimeString() : "") }, ...series],
  };
  return new uPlot(options, data, figure);
}

function draw() {
  area.hidden = drawn.at.length === 0;
  if (area.hidden) return;
  for (const figure of area.querySelectorAll("[data-chart]")) {
    const names = figure.dataset.chart.split(" ");
    figure.hidden = names.every((name) => drawn.values[name].every((each) => each === null));
    if (figure.hidden) continue;
    const data = [drawn.at, ...names.map((name) => drawn.values[name])];
    if (charts.has(figure)) charts.get(figure).setData(data);
    else charts.set(figure, make(figure, data));
  }
}

function drawAnew() {
  for (const chart of charts.values()) chart.destroy();
  charts.clear();
  if (drawn) draw();
}

async function read() {
  if (document.hidden) return;
  try {
    const answer = await fetch(area.dataset.samples, { headers: { Accept: "application/json" } });
    if (!answer.ok || answer.redirected) return; // the table beside says what is wrong
    drawn = await answer.json();
    draw();
  } catch {
    // Nothing answers: live.js tells so.
  }
}

new MutationObserver(drawAnew).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
let width = area.parentElement.clientWidth;
new ResizeObserver(() => {
  if (Math.abs(area.parentElement.clientWidth - width) < GAP) return;
  width = area.parentElement.clientWidth;
  drawAnew();
}).observe(area.parentElement);
document.addEventListener("visibilitychange", read);
setInterval(read, 1000 * EVERY_S);
read();
