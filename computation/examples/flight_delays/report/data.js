// The numbers behind the charts. Times are hours since 1970 as New York's clocks show them, so dates are
// computed and printed as if they were UTC.

const AIRPORTS = Object.keys(DATA.airports);
const DAY = 24;

// One point for each hour with a scheduled departure: at, departed, cancelled, and delay in minutes or null.
const HOURS = Object.fromEntries(AIRPORTS.map((origin) => {
  const { hours, departed, cancelled, delay } = DATA.airports[origin];
  return [origin, hours.map((at, i) => ({
    at, span: 1, departed: departed[i], cancelled: cancelled[i],
    delay: delay[i] === null ? null : delay[i] / 10,
  }))];
}));

// Adds points up to one of length `span`: the mean delay is weighted by the flights that left.
function merge(points, at, span) {
  let departed = 0, cancelled = 0, minutes = 0;
  for (const point of points) {
    departed += point.departed;
    cancelled += point.cancelled;
    minutes += (point.delay ?? 0) * point.departed;
  }
  return { at, span, departed, cancelled, delay: departed ? minutes / departed : null };
}

function grouped(points, place) {
  const groups = new Map();
  for (const point of points) {
    const key = place(point);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(point);
  }
  return groups;
}

function byDay(points) {
  const days = grouped(points, (point) => Math.floor(point.at / DAY));
  return [...days].map(([day, members]) => merge(members, day * DAY, DAY));
}

const DAYS = Object.fromEntries(AIRPORTS.map((origin) => [origin, byDay(HOURS[origin])]));
const EVERY_HOUR = AIRPORTS.flatMap((origin) => HOURS[origin]);

// The whole days that hold every hour.
const FIRST = Math.floor(EVERY_HOUR.reduce((least, point) => Math.min(least, point.at), Infinity) / DAY) * DAY;
const LAST = Math.ceil(EVERY_HOUR.reduce((most, point) => Math.max(most, point.at + 1), -Infinity) / DAY) * DAY;

// What an alert is about, in words and as a class of the style sheet.
function kindOf(alert) {
  const what = alert.signal === "delay" ? "Delays" : "Departures";
  const way = alert.kind === "spike" ? "above usual" : "below usual";
  return { style: `${alert.signal}-${alert.kind}`, words: `${what} ${way}` };
}

// Until when an alert is drawn: one that was never cleared lasts to the end.
const endOf = (alert) => alert.cleared ?? LAST;

// The most unusual hour between an alert's first deviation and its end.
function extremeOf(alert) {
  const value = (point) => (alert.signal === "delay" ? point.delay : point.departed);
  const during = HOURS[alert.origin].filter((p) => p.at >= alert.since && p.at < endOf(alert) && value(p) !== null);
  const more = (a, b) => (alert.kind === "spike" ? value(b) > value(a) : value(b) < value(a));
  const point = during.reduce((best, next) => (more(best, next) ? next : best), during[0]);
  return point && { at: point.at, value: value(point) };
}

const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

// Prints a time in one of a few formats, the same in every browser and language.
function print(format, at) {
  const date = new Date(at * 3600e3);
  const [day, month, year] = [date.getUTCDate(), MONTHS[date.getUTCMonth()], date.getUTCFullYear()];
  const brief = month.slice(0, 3);
  switch (format) {
    case "date": return `${day} ${month} ${year}`;
    case "day": return `${WEEKDAYS[(date.getUTCDay() + 6) % 7]}, ${day} ${brief} ${year}`;
    case "short": return `${day} ${brief}`;
    case "month": return brief;
    default: return `${String(date.getUTCHours()).padStart(2, "0")}:00`;
  }
}
const count = (number) => number.toLocaleString("en-US");
const minutes = (number) => (number === null ? "–" : `${number.toFixed(1).replace("-", "−")} min`);
const share = (part, whole) => (whole ? `${((100 * part) / whole).toFixed(1)} %` : "–");
