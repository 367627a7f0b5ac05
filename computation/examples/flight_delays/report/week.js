// The usual week: mean delay by day of the week and hour of the day, one map for each airport.

// Colour by delay: on time is pale, 25 minutes are blue, 50 and more the alert's red.
function heat(delay) {
  const [low, middle, high] = [0, 25, 50];
  const blend = (from, to, part) => `color-mix(in oklab, var(${to}) ${Math.round(100 * part)}%, var(${from}))`;
  const at = Math.min(Math.max(delay, low), high);
  return at < middle ? blend("--heat-0", "--heat-1", at / middle) : blend("--heat-1", "--heat-2", (at - middle) / (high - middle));
}

function drawWeek(origin, width) {
  const [left, top, cell] = [38, 26, 17];
  const step = (width - left) / 24;
  const root = svg("svg", { width, height: top + 7 * cell + 22, role: "img", "aria-label": `Mean delay at ${origin} by hour of the week` });
  svg("text", { x: left, y: 15, class: "airport" }, root, origin);
  WEEKDAYS.forEach((name, day) => svg("text", { x: left - 6, y: top + day * cell + 13, "text-anchor": "end" }, root, name));
  // The epoch was a Thursday: three days after a Monday.
  const week = grouped(HOURS[origin], (point) => (point.at + 3 * DAY) % (7 * DAY));
  for (const [hour, members] of week) {
    const { delay, departed } = merge(members, hour, 1);
    if (delay === null) continue;
    const [x, y] = [left + (hour % DAY) * step, top + Math.floor(hour / DAY) * cell];
    const box = svg("rect", { x, y, width: step - 1, height: cell - 1, rx: 2, style: `fill: ${heat(delay)}` }, root);
    box.addEventListener("pointermove", (event) => {
      const when = `${WEEKDAYS[Math.floor(hour / DAY)]}, ${hour % DAY}:00`;
      tooltip.replaceChildren(text("b", `${origin}, ${when}`), text("div", `${minutes(delay)} over ${count(departed)} flights`));
      place(event);
    });
  }
  root.addEventListener("pointerleave", () => { tooltip.hidden = true; });
  for (const hour of [0, 6, 12, 18]) {
    svg("text", { x: left + hour * step, y: top + 7 * cell + 15 }, root, `${String(hour).padStart(2, "0")}:00`);
  }
  return root;
}

function drawWeeks() {
  const heatmaps = document.getElementById("heatmaps");
  const columns = Math.max(1, Math.min(AIRPORTS.length, Math.floor((heatmaps.clientWidth + 20) / 320)));
  const width = Math.max(280, (heatmaps.clientWidth - 20 * (columns - 1)) / columns);
  heatmaps.replaceChildren(...AIRPORTS.map((origin) => drawWeek(origin, width)));
  const scale = svg("svg", { width: 320, height: 16, role: "img", "aria-label": "Colours from 0 to 50 minutes" });
  svg("text", { x: 0, y: 12 }, scale, "0 min");
  for (let delay = 0; delay <= 50; delay += 2) {
    svg("rect", { x: 42 + delay * 3, y: 2, width: 6, height: 12, style: `fill: ${heat(delay)}` }, scale);
  }
  svg("text", { x: 206, y: 12 }, scale, "50 and more");
  document.getElementById("scale").replaceChildren(scale);
}
