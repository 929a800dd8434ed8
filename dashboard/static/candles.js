/* What the chart is given: bars with holes kept open, marks, precision. Pure: no DOM, no chart. */

import { counted, priceDigits } from "./text.js";

/* A night without data is one hole, not ten thousand empty bars. */
const HOLE_MAX = 60;

/* Bars in the chart's shape; an interval without a bar keeps its place empty, so that an outage shows as a hole. */
export function candleData(bars, interval, from = 0) {
  const result = [];
  const step = Math.max(1, Math.round(interval));
  let previous = null;
  for (const bar of bars.slice(from)) {
    if (previous !== null) {
      const missing = Math.min(HOLE_MAX, Math.round((bar.t - previous) / step) - 1);
      for (let back = missing; back >= 1; back -= 1) result.push({ time: bar.t - back * step });
    }
    result.push({ time: bar.t, open: bar.o, high: bar.h, low: bar.l, close: bar.c });
    previous = bar.t;
  }
  return result;
}

export function volumeData(bars, colours, from = 0) {
  return bars.slice(from).map((bar) => ({
    time: bar.t,
    value: Number.isFinite(bar.v) ? bar.v : 0,
    color: bar.c >= bar.o ? colours.volumeUp : colours.volumeDown,
  }));
}

/* So many bars apart from each other, words under marks do not overlap. */
const WORD_BARS = 8;

/* Shape, place and word besides colour. A run of marked bars says its word once. */
export function markerData(bars, colours) {
  const markers = [];
  let wasRest = false;
  let wasLost = false;
  const said = { REST: -Infinity, LOST: -Infinity };
  const say = (name, isNew, index) => {
    if (!isNew || index - said[name] < WORD_BARS) return "";
    said[name] = index;
    return name;
  };
  bars.forEach((bar, index) => {
    const isRest = bar.over_rest > 0;
    if (bar.lost) {
      markers.push({
        time: bar.t,
        position: "aboveBar",
        shape: "arrowDown",
        color: colours.lost,
        text: say("LOST", !wasLost, index),
      });
    }
    if (isRest) {
      markers.push({
        time: bar.t,
        position: "belowBar",
        shape: "circle",
        size: 0.5,
        color: colours.rest,
        text: say("REST", !wasRest, index),
      });
    }
    wasRest = isRest;
    wasLost = bar.lost;
  });
  return markers;
}

/* As many digits as the prices need to be told apart. */
export function precision(bars) {
  let digits = 2;
  for (const bar of bars.slice(-50)) digits = Math.max(digits, priceDigits(bar.c));
  return digits;
}

export function summary(bars) {
  const rest = bars.reduce((sum, bar) => sum + (bar.over_rest > 0 ? 1 : 0), 0);
  const lost = bars.reduce((sum, bar) => sum + (bar.lost ? 1 : 0), 0);
  return `${counted(bars.length, "candle")}, ${rest} with points over REST, ${lost} where continuity was lost`;
}
