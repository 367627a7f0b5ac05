// What stands around the charts, and how they answer to the pointer.

function text(name, content, className) {
  const element = document.createElement(name);
  if (content !== undefined) element.textContent = content;
  if (className) element.className = className;
  return element;
}

// Follows the pointer over the chart: a line through all panels, a dot on each, and the numbers beside them.
function follow(root, shape, bottom) {
  const layer = svg("g", { "pointer-events": "none" }, root);
  let pressed = null;
  const position = (event) => {
    const px = event.clientX - root.getBoundingClientRect().left;
    return Math.min(Math.max(px, PANEL.left), shape.right);
  };
  root.addEventListener("pointerdown", (event) => { pressed = position(event); });
  root.addEventListener("pointerleave", () => { tooltip.hidden = true; pressed = null; layer.replaceChildren(); });
  root.addEventListener("dblclick", () => show(FIRST, LAST));
  root.addEventListener("pointermove", (event) => {
    layer.replaceChildren();
    const px = position(event);
    if (pressed !== null && Math.abs(px - pressed) > 4) {
      const [x, width] = [Math.min(px, pressed), Math.abs(px - pressed)];
      svg("rect", { x, width, y: PANEL.top, height: bottom - PANEL.top, class: "selection" }, layer);
    }
    const panel = Math.floor((event.clientY - root.getBoundingClientRect().top) / shape.step);
    point(layer, shape, bottom, shape.at(px), AIRPORTS[Math.min(Math.max(panel, 0), AIRPORTS.length - 1)], event);
  });
  root.addEventListener("pointerup", (event) => {
    const [from, to] = [Math.min(position(event), pressed), Math.max(position(event), pressed)];
    if (pressed !== null && to - from > 4) show(shape.at(from), shape.at(to));
    pressed = null;
  });
}

function point(layer, shape, bottom, at, here, event) {
  const span = shape.hourly ? 1 : DAY;
  const start = Math.floor(at / span) * span;
  const x = shape.x(start + span / 2);
  svg("line", { x1: x, x2: x, y1: PANEL.top, y2: bottom, class: "crosshair" }, layer);
  const table = text("table");
  const head = text("tr");
  ["", "mean delay", "left", "cancelled"].forEach((name) => head.append(text("th", name)));
  table.append(head);
  AIRPORTS.forEach((origin, index) => {
    const found = shape.points[origin].find((p) => p.at === start);
    const row = text("tr", undefined, origin === here ? "here" : "");
    const cells = found ? [minutes(found.delay), count(found.departed), count(found.cancelled)] : ["no flights", "", ""];
    [origin, ...cells].forEach((cell) => row.append(text("td", cell)));
    table.append(row);
    if (found && found.delay !== null) {
      svg("circle", { cx: x, cy: PANEL.top + index * shape.step + shape.y(found.delay), r: 4, class: "dot" }, layer);
    }
  });
  const when = shape.hourly ? `${print("day", start)}, ${print("time", start)} to ${print("time", start + 1)}` : print("day", start);
  const about = DATA.alerts.filter((a) => a.origin === here && a.since < start + span && endOf(a) > start);
  tooltip.replaceChildren(text("b", when), table, ...about.map((alert) => text("div", describe(alert), "about")));
  place(event);
}

function place(event) {
  tooltip.hidden = false;
  const { width, height } = tooltip.getBoundingClientRect();
  const left = event.clientX + 18 + width > innerWidth ? event.clientX - 18 - width : event.clientX + 18;
  tooltip.style.left = `${Math.max(4, left)}px`;
  tooltip.style.top = `${Math.max(4, Math.min(event.clientY + 14, innerHeight - height - 4))}px`;
}

// An alert in a sentence.
function describe(alert) {
  const plain = (number) => (alert.signal === "delay" ? number.toFixed(1).replace("-", "−") : String(Math.round(number)));
  const unit = (number) => `${plain(number)} ${alert.signal === "delay" ? "min" : "departures"}`;
  const extreme = extremeOf(alert);
  const until = alert.cleared === null ? "not cleared by the end" : `back to usual by ${print("short", alert.cleared)}, ${print("time", alert.cleared)}`;
  const peak = extreme ? `; ${alert.kind === "spike" ? "peak" : "low"} ${unit(extreme.value)} at ${print("time", extreme.at)}` : "";
  return `${alert.origin}: ${kindOf(alert).words.toLowerCase()} from ${print("short", alert.since)}, ${print("time", alert.since)}${peak}` +
    ` (when raised, ${plain(alert.observed)} where ${unit(alert.usual)} were usual); ${until}.`;
}

function tile(name, number, note) {
  const element = text("div", undefined, "tile");
  element.append(text("div", name, "name"), text("div", number, "number"), text("div", note, "note"));
  document.getElementById("tiles").append(element);
}

function summarise() {
  const all = merge(EVERY_HOUR, FIRST, LAST - FIRST);
  const flights = all.departed + all.cancelled;
  const days = byDay(EVERY_HOUR).filter((day) => day.delay !== null);
  const worst = days.reduce((most, day) => (most && most.delay >= day.delay ? most : day), null);
  const emptiest = days.reduce((most, day) => (most && most.cancelled >= day.cancelled ? most : day), null);
  const raised = (signal) => DATA.alerts.filter((alert) => alert.signal === signal).length;
  document.getElementById("title").textContent = `Departure delays at ${AIRPORTS.join(", ")}`;
  document.getElementById("subtitle").textContent = `${print("date", FIRST)} to ${print("date", LAST - 1)}`;
  tile("Flights scheduled", count(flights), `in ${count(EVERY_HOUR.length)} airport hours`);
  tile("Mean delay", minutes(all.delay), "of the flights that left");
  tile("Cancelled", count(all.cancelled), `${share(all.cancelled, flights)} of the flights`);
  if (worst) tile("Most delayed day", minutes(worst.delay), print("day", worst.at));
  if (emptiest) tile("Most cancelled day", share(emptiest.cancelled, emptiest.cancelled + emptiest.departed), print("day", emptiest.at));
  tile("Alerts", count(DATA.alerts.length), `${raised("delay")} of delay, ${raised("departures")} of departures`);
}

function entry(parent, words, drawing) {
  const element = text("span");
  const icon = svg("svg", { width: 18, height: 12 });
  drawing(icon);
  element.append(icon, words);
  parent.append(element);
}

function explain() {
  const legend = document.getElementById("legend");
  entry(legend, "Mean delay", (icon) => {
    svg("rect", { x: 0, y: 4, width: 18, height: 8, class: "area" }, icon);
    svg("path", { d: "M0 4h18", class: "line" }, icon);
  });
  entry(legend, "Share cancelled", (icon) => svg("path", { d: "M2 12v-5h3v5zM7 12v-9h3v9zM12 12v-3h3v3z", class: "cancelled" }, icon));
  const kinds = new Map(DATA.alerts.map((alert) => [kindOf(alert).style, alert]));
  for (const [, alert] of [...kinds].sort()) entry(legend, `Alert: ${kindOf(alert).words.toLowerCase()}`, (icon) => mark(alert, 9, 6, icon));
}

function listAlerts() {
  const list = document.getElementById("alerts");
  list.hidden = DATA.alerts.length === 0;
  list.querySelector("summary").textContent = `All ${count(DATA.alerts.length)} alerts in words`;
  for (const alert of DATA.alerts) {
    const item = text("li");
    mark(alert, 6, 6, svg("svg", { width: 12, height: 12 }, item));
    item.append(describe(alert));
    item.addEventListener("click", () => {
      lookAt(alert);
      document.getElementById("delays").scrollIntoView({ behavior: "smooth" });
    });
    list.querySelector("ol").append(item);
  }
}

if (EVERY_HOUR.length) {
  summarise();
  explain();
  listAlerts();
  drawWeeks();
  draw();
  document.getElementById("reset").addEventListener("click", () => show(FIRST, LAST));
  let width = container.clientWidth;
  new ResizeObserver(() => {
    if (container.clientWidth === width) return;
    width = container.clientWidth;
    draw();
    drawWeeks();
  }).observe(container);
} else {
  document.querySelector("main").replaceChildren(text("h1", "No complete hours yet"));
}
