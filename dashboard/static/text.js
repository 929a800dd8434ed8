/* Numbers, times and words as they stand on the page. Pure: no DOM, no clock of its own. */

export const SYMBOL_MAX = 64;
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/* A word from a peer: bounded, without control or direction characters that could disturb the rest of the line. */
export function word(value, max = SYMBOL_MAX) {
  if (value === null || value === undefined) return "–";
  const points = Array.from(
    String(value)
      .slice(0, max * 4)
      .replace(INVISIBLE, "\uFFFD"),
  );
  return points.length > max ? points.slice(0, max - 1).join("") + "…" : points.join("");
}

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const decimals = new Map();

function fixed(places, value) {
  if (!decimals.has(places)) {
    decimals.set(
      places,
      new Intl.NumberFormat("en-US", { minimumFractionDigits: places, maximumFractionDigits: places }),
    );
  }
  return decimals.get(places).format(value);
}

const amounts = new Intl.NumberFormat("en-US", { maximumFractionDigits: 8 });

function finite(value) {
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) ? number : null;
}

/* Ids and counts: 1,204. Beyond what a double holds exactly the last digits are not to be relied on, and a sign says so. */
export function count(value) {
  const number = finite(value);
  if (number === null) return "–";
  if (Math.abs(number) >= 1e21) return number.toExponential(3);
  return `${Math.abs(number) > Number.MAX_SAFE_INTEGER ? "≈" : ""}${whole.format(number)}`;
}

export const counted = (number, one, more = `${one}s`) => `${count(number)} ${number === 1 ? one : more}`;

export function priceDigits(value) {
  const size = Math.abs(value);
  if (!(size > 0) || size >= 1) return 2;
  return Math.min(8, 2 + Math.ceil(-Math.log10(size)));
}

/* What a market never does is written so that it is seen, and never widens a column. */
export function price(value) {
  const number = finite(value);
  if (number === null) return "–";
  if (Math.abs(number) >= 1e12 || (number !== 0 && Math.abs(number) < 1e-8)) return number.toExponential(2);
  return fixed(priceDigits(number), number);
}

export function amount(value) {
  const number = finite(value);
  if (number === null) return value === null || value === undefined ? "–" : word(value, 20);
  return Math.abs(number) >= 1e12 || (number !== 0 && Math.abs(number) < 1e-8)
    ? number.toExponential(2)
    : amounts.format(number);
}

const two = (number) => String(number).padStart(2, "0");

export function clock(at, tenths = false) {
  const date = new Date(at * 1000);
  if (Number.isNaN(date.getTime())) return "–";
  const text = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return tenths ? `${text}.${Math.floor(date.getMilliseconds() / 100)}` : text;
}

/* A time as a venue writes it: Unix seconds, or text that reads as a date, or just text. */
export function moment(value) {
  const at = typeof value === "string" ? Date.parse(value) / 1000 : finite(value);
  if (at !== null && Number.isFinite(at)) return clock(at);
  return value === null || value === undefined || value === "" ? "–" : word(value, 24);
}

/* 0.4 s, 12 s, 3 min 20 s, 2 h 5 min, 4 d. */
export function span(seconds) {
  const value = finite(seconds);
  if (value === null) return "–";
  const s = Math.max(0, value);
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 60) return `${Math.floor(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s`;
  if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${count(Math.floor(s / 86400))} d`;
}

/* A width that was configured, not measured: 5 s, 90 s, 5 min. */
export const duration = (seconds) =>
  seconds >= 120 && seconds % 60 === 0 ? `${amount(seconds / 60)} min` : `${amount(seconds)} s`;

export function millis(seconds) {
  const value = finite(seconds);
  if (value === null) return "–";
  const ms = value * 1000;
  return ms >= 10000 ? span(value) : `${ms >= 100 ? ms.toFixed(0) : ms.toFixed(1)} ms`;
}

export function range(first, last) {
  if (last === null || last === undefined) return `${count(first)} and on`;
  return first === last ? count(first) : `${count(first)}–${count(last)}`;
}

export const ids = (number) => counted(number, "id");

export const CONDITIONS = new Map([
  ["RECONNECTING", "attempting"],
  ["RESYNCING", "repairing"],
  ["CONNECTED", "healthy"],
  ["SILENT", "doubtful"],
  ["REST_FALLBACK", "down"],
]);

const UNPROVEN = new Map([
  ["RECONNECTING", "No known gap; connecting"],
  ["RESYNCING", "No known gap; checking"],
  ["SILENT", "No known gap; verifying the silence"],
  ["REST_FALLBACK", "No known gap; collecting over REST"],
]);

/* Nothing ever came, so nothing can be said of ids: why that is. */
function nothing(state, answered) {
  if (state === "RECONNECTING") return "No data yet; connecting";
  if (state !== "REST_FALLBACK") return "No data yet";
  return answered > 0 ? "No data yet; asking over REST" : "No data yet: the exchange cannot be reached";
}

const isRejected = (stream) => stream.rejected !== null && stream.rejected !== undefined;

/* The one sentence of the page: [code, sentence, note]. Only a stream that delivered something is ever called whole. */
export function wholeness(streams, state, answered = 0) {
  let missing = 0,
    lost = 0,
    open = 0,
    endless = 0;
  for (const stream of streams) {
    missing += stream.missing;
    lost += stream.lost_ids;
    open += stream.missing > 0 ? 1 : 0;
    endless += stream.lost.filter((hole) => hole[1] === null).length;
  }
  const total = streams.length;
  const rejected = streams.filter(isRejected).length;
  const proven = streams.filter((stream) => !isRejected(stream) && stream.last_id !== null).length;
  const silent = total - rejected - proven;
  const refusal = rejected > 0 ? [`${rejected} of ${counted(total, "stream")} rejected`] : [];
  const notes = [];
  if (missing > 0) notes.push(`in ${open} of ${counted(total, "stream")}`);
  if (missing > 0 && lost > 0) notes.push(`${ids(lost)} lost and reported`);
  if (missing === 0 && lost > 0)
    notes.push(
      state === "CONNECTED"
        ? "reported; all else delivered once"
        : `reported; ${UNPROVEN.get(state)?.replace("No", "no") ?? "more may be missing"}`,
    );
  if (endless > 0) notes.push(`${counted(endless, "loss has", "losses have")} no known end`);
  const note = [...notes, ...refusal].join("; ");
  /* The state is ahead of what the app has taken of the feed: what lies between them is on its way. */
  if (missing > 0 && state === "CONNECTED")
    return ["filling", `Checking: ${ids(missing)} not taken by the app yet`, note];
  if (missing > 0) return ["filling", `${ids(missing)} missing, being filled`, note];
  if (lost > 0 || endless > 0)
    return ["lost", lost > 0 ? `${endless > 0 ? "At least " : ""}${ids(lost)} lost` : "Continuity lost", note];
  if (total === 0 && state === "CONNECTED") return ["unproven", "No streams yet", ""];
  if (proven === 0) return ["unproven", nothing(state, answered), note];
  if (state !== "CONNECTED") return ["unproven", UNPROVEN.get(state) ?? "Not proven whole", note];
  notes.push(`every id of ${counted(proven, "stream")} delivered once`);
  if (silent > 0) notes.push(`${silent} without data yet`);
  if (rejected > 0)
    return [
      "unproven",
      `Whole, but ${rejected} of ${counted(total, "stream")} ${rejected === 1 ? "is" : "are"} rejected`,
      notes.join("; "),
    ];
  return ["whole", "Whole", notes.join("; ")];
}
