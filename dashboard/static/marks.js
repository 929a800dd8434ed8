/* What the time line draws, in words and shapes: lanes, bands of states, marks. Pure: no DOM. */

import { CONDITIONS, clock, count, range, span, word } from "./text.js";

export const STATES = ["CONNECTED", "RESYNCING", "RECONNECTING", "SILENT", "REST_FALLBACK"];
export const ROW = 13;
export const GAP_ROWS = 4;
export const GAP_HEIGHT = 4.5;
const GAP_ROW = 6;

/* Lanes from the top: name, what stands in it, height. */
const LANES = [
  ["gaps", "Gaps", GAP_ROWS * GAP_ROW + 3],
  ["outcome", "Outcomes", 16],
  ["rest", "REST requests", 18],
  ["link", "Connection", 16],
  ["fault", "Faults", 18],
];

/* Kind of item -> lane, word, and shape round its middle. */
export const KINDS = new Map([
  ["gap", { lane: "gaps", name: "gap", shape: "M-7,-2.5H7V2.5H-7Z" }],
  ["filled", { lane: "outcome", name: "filled", shape: "M-3.4,0A3.4,3.4 0 1 0 3.4,0A3.4,3.4 0 1 0 -3.4,0" }],
  ["lost", { lane: "outcome", name: "lost", shape: "M-4,-4L4,4M-4,4L4,-4" }],
  ["rest", { lane: "rest", name: "REST request", shape: "M0,-6V6" }],
  ["rest_failed", { lane: "rest", name: "REST request failed", shape: "M-3.5,-3.5L3.5,3.5M-3.5,3.5L3.5,-3.5" }],
  ["rate_limited", { lane: "rest", name: "429 or 418", shape: "M0,-5.5L4.5,0L0,5.5L-4.5,0Z" }],
  ["attempt", { lane: "link", name: "attempt", shape: "M0,-4.5L4.5,4H-4.5Z" }],
  ["reset", { lane: "link", name: "ids began anew", shape: "M-3.5,-3.5H3.5V3.5H-3.5Z" }],
  [
    "rejected",
    { lane: "link", name: "stream rejected", shape: "M-4,0A4,4 0 1 0 4,0A4,4 0 1 0 -4,0M-2.8,2.8L2.8,-2.8" },
  ],
  ["gave_up", { lane: "link", name: "gave up", shape: "M-4,-4H4V4H-4ZM-4,-4L4,4M-4,4L4,-4" }],
  ["snapshot", { lane: "outcome", name: "snapshot", shape: "M-3.5,2H3.5M-3.5,-2H3.5" }],
  ["fault", { lane: "fault", name: "fault", shape: "M-2,7V-6H6L4,-3L6,0H-2" }],
]);
const OTHER = { lane: "link", name: "event", shape: "M-2,0A2,2 0 1 0 2,0A2,2 0 1 0 -2,0" };

export const kindOf = (item) => KINDS.get(item.kind) ?? { ...OTHER, name: word(item.kind, 24) };

/* Lane name -> {label, y, height}, with the total height; faults only where there are any to press. */
export function layout(demo) {
  const lanes = new Map();
  let y = STATES.length * ROW + 5;
  for (const [name, label, height] of LANES) {
    if (name === "fault" && !demo) continue;
    lanes.set(name, { label, y, height });
    y += height;
  }
  return { lanes, height: y + 18, axis: y };
}

export const gapY = (lane, row) => lane.y + 1 + row * GAP_ROW;

/* The states one after another as [{key, state, start, end|null, transition|null}]. What was before the first transition is
   drawn from the first item on: nothing tells of an earlier time. */
export function bands(transitions, state, since, firstItemAt) {
  const result = [];
  for (const one of transitions) {
    if (one.before === one.after && result.length > 0) continue;
    const last = result.at(-1);
    if (last !== undefined) last.end = one.at;
    else if (firstItemAt < one.at)
      result.push({ key: "first", state: one.before, start: firstItemAt, end: one.at, transition: null });
    result.push({ key: `${one.at}/${one.after}`, state: one.after, start: one.at, end: null, transition: one });
  }
  if (result.length === 0 && state !== "")
    result.push({ key: "first", state, start: since, end: null, transition: null });
  return result;
}

export function bandWords(band, now) {
  const length = ` for ${span((band.end ?? now) - band.start)}`;
  const { trigger, reason, unverified } = band.transition ?? {};
  const why = band.transition === null ? "" : `: ${trigger}${unverified ? " (unverified)" : ""}, ${word(reason, 160)}`;
  return `${clock(band.start, true)} ${word(band.state)} (${CONDITIONS.get(band.state) ?? "?"})${length}${why}`;
}

/* What an item says: stream, ids, and whether a gap is still open. */
export function itemWords(item, now) {
  const parts = [];
  if (item.stream !== null) parts.push(word(item.stream));
  const text = withoutKind(word(item.text, 200), item);
  if (text !== "" && text !== "–") parts.push(text);
  if (
    item.start !== null &&
    item.start !== undefined &&
    !text.includes(count(item.start)) &&
    !text.includes(String(item.start))
  ) {
    parts.push(`ids ${range(item.start, item.end)}`);
  }
  if (item.kind === "gap") {
    parts.push(
      item.ended_at === null ? `open for ${span(now - item.at)}` : `closed after ${span(item.ended_at - item.at)}`,
    );
  }
  if (item.kind === "attempt")
    parts.push(
      item.ended_at === null ? `under way for ${span(now - item.at)}` : `took ${span(item.ended_at - item.at)}`,
    );
  return parts.join(", ");
}

/* The kind stands before the text already. */
function withoutKind(text, item) {
  for (const prefix of [`${item.kind}: `, `${kindOf(item).name} `, `${item.kind} `]) {
    if (text.startsWith(prefix)) return text.slice(prefix.length);
  }
  return text;
}

export const itemTitle = (item, now) => `${clock(item.at, true)} ${kindOf(item).name}: ${itemWords(item, now)}`;
