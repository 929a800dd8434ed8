/* Reading the time line by pointer and by keys: the mark that is meant, a line through it, and its words. */

import { byId, setAttribute, setText } from "./dom.js";
import { ROW, STATES, bandWords, itemTitle } from "./marks.js";

const NEAR_PX = 7;
const HINT = "Point at a mark, or focus the time line and use the arrow keys.";

export class Picker {
  constructor(timeline) {
    this.timeline = timeline;
    this.readout = byId("timeline-readout");
    this.selected = null;
    const { host } = timeline;
    host.addEventListener("pointermove", (event) => this.select(this.nearest(event), false));
    host.addEventListener("pointerleave", () => this.select(null, false));
    host.addEventListener("blur", () => this.select(null, false));
    host.addEventListener("keydown", (event) => this.key(event));
  }

  nearest(event) {
    const line = this.timeline;
    if (line.svg === undefined) return null;
    const box = line.host.getBoundingClientRect();
    const y = event.clientY - box.top;
    const at = line.timeAt(event.clientX - box.left);
    if (y < STATES.length * ROW)
      return line.bands.find((band) => band.start <= at && at < (band.end ?? Infinity)) ?? null;
    let best = null;
    let least = NEAR_PX;
    for (const entry of line.nodes.values()) {
      if (Math.abs(entry.y - y) > 9) continue;
      const end = entry.item.kind === "gap" ? (entry.item.ended_at ?? line.clock()) : entry.item.at;
      const away = Math.max(entry.item.at - at, at - end, 0) * line.pps + Math.abs(entry.y - y) / 4;
      if (away < least) [best, least] = [entry.item, away];
    }
    return best;
  }

  key(event) {
    const line = this.timeline;
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const all = [...line.bands, ...line.store.items.values()].sort((one, other) => startOf(one) - startOf(other));
    if (all.length === 0) return;
    const here = this.selected === null ? all.length : all.findIndex((one) => sameMark(one, this.selected));
    this.select(all[Math.max(0, Math.min(all.length - 1, (here < 0 ? all.length : here) + step))], true);
  }

  select(mark, byKey) {
    const line = this.timeline;
    if (line.svg === undefined) return;
    if (mark === null && !byKey && document.activeElement === line.host && this.selected !== null) return;
    this.selected = mark;
    if (mark === null) {
      setText(this.readout, HINT);
      setAttribute(line.cursor, "visibility", "hidden");
      return;
    }
    const now = line.clock();
    setText(this.readout, "state" in mark ? bandWords(mark, now) : itemTitle(mark, now));
    const x = line.x(Math.max(startOf(mark), now - line.span)).toFixed(1);
    setAttribute(line.cursor, "d", `M${x},0V${line.plan.axis}`);
    setAttribute(line.cursor, "visibility", "visible");
  }
}

const startOf = (mark) => ("state" in mark ? mark.start : mark.at);
const sameMark = (one, other) => ("state" in one ? "state" in other && one.key === other.key : one.id === other.id);
