// The chart of delays: one panel for each airport on a common axis of time, by day or, close up, by hour.

// Lengths in pixels. A panel has, from its top, a row of alerts, the delays, and a strip of cancelled flights.
const PANEL = { height: 176, gap: 34, left: 52, right: 12, top: 24, marks: 14, strip: 26, bottom: 30 };
const HOURLY_BELOW = 32 * DAY;
const CLOSEST = 12;

const container = document.getElementById("chart");
const tooltip = document.getElementById("tooltip");
let view = [FIRST, LAST];

function svg(name, attributes, parent, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent?.append(element);
  return element;
}

// Round steps that cut [low, high] into about `parts`.
function niceTicks(low, high, parts) {
  const raw = (high - low) / parts;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
  const ticks = [];
  for (let at = Math.ceil(low / step) * step; at <= high; at += step) ticks.push(at);
  return ticks;
}

// The beginnings of months, weeks, days or hours, whichever suit the view, with their labels.
function timeTicks([from, to], width) {
  const ticks = [];
  const hours = to - from;
  if (hours > 75 * DAY) {
    const date = new Date(from * 3600e3);
    for (let month = date.getUTCMonth(); ; month += 1) {
      const at = Date.UTC(date.getUTCFullYear(), month, 1) / 3600e3;
      if (at > to) return ticks;
      if (at >= from) ticks.push([at, at === to ? "" : print("month", at)]);
    }
  }
  const room = Math.max(2, Math.floor(width / 80));
  const step = [1, 2, 3, 6, 12, DAY, 2 * DAY, 7 * DAY, 14 * DAY].find((s) => hours / s <= room) ?? 28 * DAY;
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
    ticks.push([at, at === to ? "" : at % DAY === 0 ? print("short", at) : print("time", at)]);
  }
  return ticks;
}

// Cuts points into runs without a gap: nights have no flights, and a line across them would say they had.
function runsOf(points) {
  const runs = [];
  let run = [];
  for (const point of points) {
    const last = run[run.length - 1];
    if (point.delay === null || (last && point.at - last.at > 2 * point.span)) {
      if (run.length) runs.push(run);
      run = [];
    }
    if (point.delay !== null) run.push(point);
  }
  if (run.length) runs.push(run);
  return runs;
}

function layout() {
  const width = Math.max(360, container.clientWidth);
  const hourly = view[1] - view[0] <= HOURLY_BELOW;
  const points = {};
  let low = 0, high = 30, cancelled = 0.2;
  for (const origin of AIRPORTS) {
    points[origin] = (hourly ? HOURS : DAYS)[origin].filter((p) => p.at + p.span > view[0] && p.at < view[1]);
    for (const point of points[origin]) {
      if (point.delay !== null) [low, high] = [Math.min(low, point.delay), Math.max(high, point.delay)];
      cancelled = Math.max(cancelled, point.cancelled / (point.cancelled + point.departed));
    }
  }
  const right = width - PANEL.right;
  const x = (at) => PANEL.left + ((at - view[0]) / (view[1] - view[0])) * (right - PANEL.left);
  const at = (px) => view[0] + ((px - PANEL.left) / (right - PANEL.left)) * (view[1] - view[0]);
  const floor = PANEL.height - PANEL.strip - 10;
  const y = (delay) => floor - ((delay - low) / (high - low)) * (floor - PANEL.marks);
  const step = PANEL.height + PANEL.gap;
  return { width, right, hourly, points, low, high, cancelled, x, at, y, step };
}

function drawPanel(root, shape, origin, index) {
  const { x, y, low, high, right, points } = shape;
  const panel = svg("g", { transform: `translate(0 ${PANEL.top + index * shape.step})` }, root);
  svg("text", { x: PANEL.left, y: -9, class: "airport" }, panel, origin);
  if (index === 0) svg("text", { x: right, y: -9, "text-anchor": "end" }, panel, "mean delay in minutes; below it the share of flights cancelled");
  for (const tick of niceTicks(low, high, 4)) {
    svg("line", { x1: PANEL.left, x2: right, y1: y(tick), y2: y(tick), class: tick === 0 ? "zero" : "grid" }, panel);
    svg("text", { x: PANEL.left - 8, y: y(tick) + 4, "text-anchor": "end" }, panel, String(tick).replace("-", "−"));
  }
  const clip = svg("g", { "clip-path": "url(#frame)" }, panel);
  for (const alert of DATA.alerts.filter((a) => a.origin === origin)) drawAlert(clip, shape, alert);
  for (const run of runsOf(points[origin])) {
    const spots = run.map((p) => `${x(p.at + p.span / 2).toFixed(1)} ${y(p.delay).toFixed(1)}`);
    const [first, last] = [x(run[0].at + run[0].span / 2), x(run[run.length - 1].at + run[0].span / 2)];
    svg("path", { d: `M${first} ${y(0)}L${spots.join("L")}L${last} ${y(0)}Z`, class: "area" }, clip);
    svg("path", { d: `M${spots.join("L")}`, class: "line" }, clip);
    if (run.length === 1) svg("circle", { cx: first, cy: y(run[0].delay), r: 2, class: "dot" }, clip);
  }
  for (const p of points[origin].filter((p) => p.cancelled)) {
    const height = (PANEL.strip * p.cancelled) / (p.cancelled + p.departed) / shape.cancelled;
    const thickness = Math.max(1, x(p.at + p.span) - x(p.at) - 0.5);
    svg("rect", { x: x(p.at), y: PANEL.height - height, width: thickness, height: Math.max(0.75, height), class: "cancelled" }, clip);
  }
  svg("line", { x1: PANEL.left, x2: right, y1: PANEL.height, y2: PANEL.height, class: "zero" }, panel);
  const most = `${Math.round(100 * shape.cancelled)} %`;
  svg("text", { x: PANEL.left - 8, y: PANEL.height - PANEL.strip + 8, "text-anchor": "end", class: "small" }, panel, most);
}

// A mark for each kind of alert: its direction is a shape, so that colour is not all there is.
function mark(alert, cx, cy, parent) {
  const d = alert.kind === "spike" ? `M${cx - 5} ${cy + 4}h10l-5 -8z` : `M${cx - 5} ${cy - 4}h10l-5 8z`;
  return svg("path", { d, class: kindOf(alert).style }, parent);
}

function drawAlert(parent, shape, alert) {
  const [from, to] = [shape.x(alert.since), shape.x(endOf(alert))];
  const width = Math.max(2.5, to - from);
  const { style } = kindOf(alert);
  const group = svg("g", { class: "alert" }, parent);
  svg("rect", { x: from, y: 0, width, height: PANEL.height, class: `band ${style}` }, group);
  mark(alert, from + width / 2, 5, group);
  svg("rect", { x: from - 2, y: 0, width: width + 4, height: PANEL.height, fill: "transparent" }, group);
  group.addEventListener("click", () => lookAt(alert));
}

function draw() {
  const shape = layout();
  const height = PANEL.top + AIRPORTS.length * shape.step - PANEL.gap + PANEL.bottom;
  const root = svg("svg", { width: shape.width, height, role: "img", "aria-label": "Mean delay over time for each airport, with alerts" });
  const frame = svg("clipPath", { id: "frame" }, svg("defs", {}, root));
  svg("rect", { x: PANEL.left, y: -8, width: shape.right - PANEL.left, height: PANEL.height + 8 }, frame);
  const bottom = height - PANEL.bottom;
  for (const [at, label] of timeTicks(view, shape.right - PANEL.left)) {
    svg("line", { x1: shape.x(at), x2: shape.x(at), y1: PANEL.top, y2: bottom, class: "grid" }, root);
    svg("text", { x: shape.x(at), y: bottom + 20, "text-anchor": "middle" }, root, label);
  }
  AIRPORTS.forEach((origin, index) => drawPanel(root, shape, origin, index));
  container.replaceChildren(root);
  follow(root, shape, bottom);
  document.getElementById("reset").hidden = view[0] === FIRST && view[1] === LAST;
  const unit = shape.hourly ? "hour" : "day";
  document.getElementById("resolution").textContent =
    `Mean delay by ${unit} of scheduled departure, ${print("date", view[0])} to ${print("date", view[1] - 1)}.`;
}

function show(from, to) {
  const span = Math.max(CLOSEST, Math.min(to, LAST) - Math.max(from, FIRST));
  const start = Math.min(Math.max(from, FIRST), LAST - span);
  view = LAST - FIRST <= span ? [FIRST, LAST] : [start, start + span];
  tooltip.hidden = true;
  draw();
}

function lookAt(alert) {
  const from = Math.floor(alert.since / DAY) * DAY;
  show(from - DAY, from + 2 * DAY);
}
