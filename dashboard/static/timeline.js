/* The last minutes, drawn once per mark and then only shifted: a nested SVG whose group moves left as time passes. */

import { byId, draw, make, setAttribute, setText } from "./dom.js";
import { GAP_HEIGHT, GAP_ROWS, KINDS, ROW, STATES, bands, gapY, kindOf, layout } from "./marks.js";
import { Picker } from "./picking.js";
import { word } from "./text.js";

const GUTTER = 108;
const RIGHT = 10;
const YOUNG_S = [60, 120];
const RULER_S = [5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600];
const RULER_MAX = 6;

export class Timeline {
  constructor(store, clock) {
    this.store = store;
    this.clock = clock;
    this.host = byId("timeline");
    this.width = 0;
    this.nodes = new Map();
    this.bandNodes = new Map();
    this.bands = [];
    this.demo = null;
    new ResizeObserver(() => this.rebuild()).observe(this.host);
    new Picker(this);
  }

  /* Everything anew: at the first picture, another width, another run. */
  rebuild() {
    const width = Math.floor(this.host.clientWidth);
    if (width < GUTTER + 100) return;
    this.width = width;
    this.demo = this.store.mode === "demo";
    this.plan = layout(this.demo);
    this.plotWidth = width - GUTTER - RIGHT;
    this.span = this.wantedSpan();
    this.pps = this.plotWidth / this.span;
    this.base = this.clock();
    this.nodes.clear();
    this.lastFault = -Infinity;
    this.bandNodes.clear();
    this.rowEnds = new Array(GAP_ROWS).fill(-Infinity);
    const { height, axis } = this.plan;
    this.svg = draw("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    this.gutter();
    this.ruler(axis);
    const plot = draw("svg", { x: GUTTER, y: 0, width: this.plotWidth + RIGHT, height: axis + 2 });
    this.group = draw("g");
    this.cursor = draw("path", { class: "cursor", visibility: "hidden" });
    this.bandLayer = draw("g");
    this.markLayer = draw("g");
    this.group.append(this.cursor, this.bandLayer, this.markLayer);
    plot.append(this.group);
    this.svg.append(plot);
    this.host.replaceChildren(this.svg);
    this.legend();
    this.update();
  }

  gutter() {
    STATES.forEach((state, row) => {
      this.svg.append(draw("text", { class: "lane state-name", "data-state": state, x: 0, y: row * ROW + 10 }, state));
      this.svg.append(draw("path", { class: "rule", d: `M${GUTTER},${row * ROW + 6.5}H${this.width - RIGHT}` }));
    });
    for (const { label, y, height } of this.plan.lanes.values()) {
      this.svg.append(draw("text", { class: "lane", x: 0, y: y + height / 2 + 4 }, label));
      this.svg.append(draw("path", { class: "edge", d: `M0,${y - 0.5}H${this.width}` }));
    }
  }

  ruler(axis) {
    const step = RULER_S.find((seconds) => this.span / seconds <= RULER_MAX) ?? this.span;
    for (let back = 0; back <= this.span; back += step) {
      const x = this.width - RIGHT - back * this.pps;
      const name = back === 0 ? "now" : back % 60 === 0 ? `${back / 60} min ago` : `${back} s ago`;
      this.svg.append(draw("path", { class: "tick", d: `M${x},0V${axis}` }));
      const anchor = back === 0 ? "end" : x < GUTTER + 24 ? "start" : "middle";
      this.svg.append(
        draw("text", { class: "axis", x: back === 0 ? this.width : x, y: axis + 13, "text-anchor": anchor }, name),
      );
    }
  }

  legend() {
    const kinds = Array.from(KINDS).filter(([kind]) => this.demo || kind !== "fault");
    byId("timeline-legend").replaceChildren(
      ...kinds.map(([kind, { name, shape }]) => {
        const icon = draw("svg", { width: 18, height: 14, viewBox: "-9 -8 18 16", "aria-hidden": "true" });
        icon.append(draw("path", { class: `mark ${kind}`, d: shape }));
        return make("span", {}, icon, name);
      }),
    );
  }

  /* A run that began a minute ago is not drawn in a corner of five. */
  wantedSpan() {
    const { items, transitions, state, span } = this.store;
    const began = Math.min(items.values().next().value?.at ?? Infinity, transitions[0]?.at ?? state.since);
    const age = this.clock() - began;
    return YOUNG_S.find((young) => young < span && age < young) ?? span;
  }

  timeAt(x) {
    return this.clock() + (x - GUTTER - this.plotWidth) / this.pps;
  }

  x(at) {
    return (at - this.base) * this.pps;
  }

  update() {
    if (this.svg === undefined) return this.rebuild();
    if (this.demo !== (this.store.mode === "demo") || this.span !== this.wantedSpan()) return this.rebuild();
    this.drawBands();
    this.drawItems();
    this.shift();
  }

  drawBands() {
    const { state, transitions } = this.store;
    const horizon = this.clock() - this.span - 5;
    const firstItemAt = this.store.items.values().next().value?.at ?? Infinity;
    this.bands = bands(transitions, state.name, state.since, firstItemAt).filter(
      (band) => (band.end ?? Infinity) > horizon,
    );
    const gone = new Set(this.bandNodes.keys());
    for (const band of this.bands) {
      let node = this.bandNodes.get(band.key);
      if (node === undefined) {
        const row = STATES.indexOf(band.state);
        node = draw("rect", {
          class: "band",
          "data-state": word(band.state),
          y: (row < 0 ? 0 : row) * ROW + 1,
          height: ROW - 3,
          rx: 2,
        });
        this.bandLayer.append(node);
        this.bandNodes.set(band.key, node);
      }
      gone.delete(band.key);
      if (band.end !== null) this.stretch(node, band.start, band.end);
    }
    for (const key of gone) {
      this.bandNodes.get(key).remove();
      this.bandNodes.delete(key);
    }
  }

  stretch(node, start, end) {
    const from = this.x(Math.max(start, this.base - 2 * this.span));
    setAttribute(node, "x", halves(from));
    setAttribute(node, "width", halves(Math.max(2.5, this.x(end) - from)));
  }

  drawItems() {
    const { items } = this.store;
    for (const [id, entry] of this.nodes) {
      if (items.has(id)) continue;
      entry.node.remove();
      entry.label?.remove();
      this.nodes.delete(id);
    }
    for (const item of items.values()) {
      const entry = this.nodes.get(item.id);
      if (entry === undefined) this.nodes.set(item.id, this.add(item));
      else if (entry.item !== item) this.change(entry, item);
    }
  }

  add(item) {
    const kind = kindOf(item);
    const lane = this.plan.lanes.get(kind.lane) ?? this.plan.lanes.get("link");
    const known = KINDS.has(item.kind) ? item.kind : "other";
    if (item.kind === "gap") {
      const row = this.gapRow(item);
      const node = draw("rect", {
        class: "mark gap",
        "data-item": item.id,
        "data-kind": "gap",
        y: gapY(lane, row),
        height: GAP_HEIGHT,
        rx: 1,
      });
      this.markLayer.append(node);
      const entry = { item: null, node, row, y: gapY(lane, row) + GAP_HEIGHT / 2 };
      this.change(entry, item);
      return entry;
    }
    const y = lane.y + lane.height / 2;
    const place = `translate(${this.x(item.at).toFixed(1)} ${y})`;
    const node = draw("path", {
      class: `mark ${known}`,
      "data-item": item.id,
      "data-kind": known,
      transform: place,
      d: kind.shape,
    });
    this.markLayer.append(node);
    if (item.kind !== "fault" || !this.demo) return { item, node, row: -1, y };
    const label = this.faultName(item, y);
    return { item, node, row: -1, y, label };
  }

  /* The words stand before their flag, where they fit behind the one before. */
  faultName(item, y) {
    const x = this.x(item.at);
    const text = word(item.text, 28);
    const isFree = x - 6.4 * text.length - 6 > this.lastFault;
    this.lastFault = x + 8;
    if (!isFree) return undefined;
    const label = draw("text", { class: "fault-name", "text-anchor": "end", x: (x - 5).toFixed(1), y: y + 4 }, text);
    this.markLayer.append(label);
    return label;
  }

  gapRow(item) {
    const free = this.rowEnds.findIndex((end) => end <= item.at);
    const row = free >= 0 ? free : this.rowEnds.indexOf(Math.min(...this.rowEnds));
    this.rowEnds[row] = item.ended_at ?? Infinity;
    return row;
  }

  change(entry, item) {
    entry.item = item;
    if (item.kind !== "gap") return;
    const isOpen = item.ended_at === null;
    setAttribute(entry.node, "class", isOpen ? "mark gap open" : "mark gap");
    this.stretch(entry.node, item.at, item.ended_at ?? this.clock());
    if (!isOpen && this.rowEnds[entry.row] === Infinity) this.rowEnds[entry.row] = item.ended_at;
  }

  /* Time passes: the group moves, and what is open grows. */
  shift() {
    if (this.svg === undefined) return;
    const now = this.clock();
    if (Math.abs(now - this.base) > 4 * this.span) return this.rebuild();
    const last = this.bands.at(-1);
    if (last !== undefined && last.end === null) this.stretch(this.bandNodes.get(last.key), last.start, now);
    for (const { item, node } of this.nodes.values()) {
      if (item.kind === "gap" && item.ended_at === null) this.stretch(node, item.at, now);
    }
    setAttribute(this.group, "transform", `translate(${halves(this.plotWidth - this.x(now))} 0)`);
  }
}

/* Half pixels: less is not seen, and would be drawn anew. */
const halves = (pixels) => String(Math.round(pixels * 2) / 2);
