/* The time line in words, newest first. Answered REST requests that follow each other are one row. */

import { Table, byId, setData, setText } from "./dom.js";
import { itemWords, kindOf } from "./marks.js";
import { clock, count, span, word } from "./text.js";

const ROWS_MAX = 80;

export class Journal {
  constructor(store) {
    this.store = store;
    this.table = new Table(byId("journal"), ["time", "kind", "what"], fill, "Nothing has happened yet");
  }

  update(now) {
    this.table.show(entries(this.store, now));
  }
}

function fill(cells, entry, row) {
  setText(cells.time, clock(entry.at, true));
  setText(cells.kind, entry.kind);
  setText(cells.what, entry.what);
  setData(row, "kind", entry.code);
  setData(row, "state", entry.state ?? "");
}

function entries({ transitions, items }, now) {
  const all = [];
  for (const one of transitions.slice(-ROWS_MAX)) {
    const wait = one.retry_in_s === null ? "" : `; next attempt in ${span(one.retry_in_s)}`;
    const what = `${word(one.before)} → ${word(one.after)} by ${word(one.trigger)}${one.unverified ? " (unverified)" : ""}: ${word(one.reason, 200)} (generation ${one.generation})${wait}`;
    all.push({
      key: `t${one.at}/${one.before}/${one.after}`,
      at: one.at,
      code: "state",
      kind: "state",
      state: word(one.after),
      what,
    });
  }
  for (const item of items.values())
    all.push({ key: `i${item.id}`, at: item.at, code: word(item.kind, 24), kind: kindOf(item).name, item });
  all.sort((one, other) => one.at - other.at);
  const grouped = [];
  for (const entry of all) {
    const last = grouped.at(-1);
    if (entry.code === "rest" && last?.code === "rest") {
      last.requests += 1;
      last.until = entry.at;
    } else grouped.push(entry.code === "rest" ? { ...entry, requests: 1, until: entry.at } : entry);
  }
  return grouped
    .slice(-ROWS_MAX)
    .reverse()
    .map((entry) => [entry.key, { ...entry, what: words(entry, now) }]);
}

function words(entry, now) {
  if (entry.what !== undefined) return entry.what;
  if (entry.code !== "rest" || entry.requests === 1) return itemWords(entry.item, now);
  return `${count(entry.requests)} requests answered, the last at ${clock(entry.until, true)}`;
}
