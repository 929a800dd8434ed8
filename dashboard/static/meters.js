/* Heartbeat, REST budget and counters. */

import { KeyedRows, byId, draw, make, setAttribute, setText } from "./dom.js";
import { count, millis, word } from "./text.js";

const WIDTH = 300;
const HEIGHT = 44;

export class Meters {
  constructor(store) {
    this.store = store;
    this.line = draw("polyline", { class: "spark" });
    byId("heartbeat").append(
      draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" }, this.line),
    );
    this.bar = byId("rest-budget").firstElementChild;
    this.counters = new KeyedRows(
      byId("counters"),
      (name) => {
        const value = make("dd");
        return { node: make("div", {}, make("dt", {}, word(name, 32).replaceAll("_", " ")), value), value };
      },
      (row, number) => {
        setText(row.value, count(number));
        setAttribute(row.node, "class", number === 0 ? "zero" : "");
      },
    );
  }

  update() {
    this.heartbeat();
    this.rest();
    this.counters.show(Array.from(this.store.counters).slice(0, 60));
  }

  heartbeat() {
    const { last, points } = this.store.heartbeat;
    const values = points.map((point) => point[1]).filter(Number.isFinite);
    if (values.length === 0) {
      setText(byId("heartbeat-text"), last === null ? "No data yet" : `last ${millis(last)}`);
      setAttribute(this.line, "points", "");
      return;
    }
    const top = Math.max(...values) * 1.25 || 1;
    const step = WIDTH / Math.max(1, values.length - 1);
    const line = values.map(
      (value, index) => `${(index * step).toFixed(1)},${(HEIGHT - 2 - (value / top) * (HEIGHT - 4)).toFixed(1)}`,
    );
    setAttribute(
      this.line,
      "points",
      (line.length === 1 ? [...line, `${WIDTH},${line[0].split(",")[1]}`] : line).join(" "),
    );
    const sorted = values.slice().sort((one, other) => one - other);
    const median = sorted[Math.floor(sorted.length / 2)];
    setText(
      byId("heartbeat-text"),
      `last ${millis(last ?? values.at(-1))}, median ${millis(median)}, highest ${millis(sorted.at(-1))}`,
    );
  }

  rest() {
    const { rest } = this.store;
    if (rest === null) return;
    const share = rest.limit > 0 ? Math.max(0, Math.min(1, rest.used / rest.limit)) : 0;
    const outcomes = [
      ["limited", rest.limited],
      ["failed", rest.failed],
      ["refused", rest.refused ?? 0],
    ].filter(([, number]) => number > 0);
    const others = outcomes.map(([name, number]) => `, ${count(number)} ${name}`).join("");
    const text = `${count(rest.used)} of ${count(rest.limit)} in use; ${count(rest.succeeded)} answered${others}`;
    setText(byId("rest-text"), text);
    const meter = byId("rest-budget");
    setAttribute(meter, "aria-valuenow", share.toFixed(2));
    setAttribute(meter, "aria-valuetext", text);
    setAttribute(meter, "data-level", share > 0.85 ? "high" : "low");
    const width = `${(share * 100).toFixed(0)}%`;
    if (this.bar.style.width !== width) this.bar.style.width = width;
  }
}
