/* Streams, orders and balances: rows by key, filled in place, all of it text. */

import { Table, byId, setData, setText } from "./dom.js";
import { amount, count, moment, price, range, span, word } from "./text.js";

const ROWS_MAX = 200;
const RANGES_SHOWN = 2;

const put = (cell, text, title = "") => {
  setText(cell, text);
  if (cell.title !== title) cell.title = title;
};

export class Tables {
  constructor(store) {
    this.store = store;
    this.streams = new Table(
      byId("streams"),
      ["stream", "last-id", "price", "age", "source", "live", "backfilled", "polled", "missing", "lost"],
      (cells, stream, row) => fillStream(cells, stream, row),
      "No streams yet",
    );
    this.orders = new Table(
      byId("orders"),
      ["order", "symbol", "side", "type", "quantity", "price", "filled", "status", "updated"],
      fillOrder,
      "No orders yet",
    );
    this.balances = new Table(byId("balances"), ["asset", "free", "locked"], fillBalance, "No balances yet");
  }

  update() {
    const { streams, orders, balances } = this.store;
    this.streams.show(streams.slice(0, ROWS_MAX).map((one) => [`${one.channel}/${one.symbol ?? ""}`, one]));
    this.orders.show(orders.slice(0, ROWS_MAX).map((one) => [String(one.order_id), one]));
    this.balances.show(balances.slice(0, ROWS_MAX).map((one) => [String(one.asset), one]));
    const more = streams.length > ROWS_MAX ? `the first ${ROWS_MAX} of ${count(streams.length)}` : "";
    setText(byId("streams-total"), more);
  }

  /* Ages grow between two words from the server. */
  tick(now) {
    const past = Math.max(0, now - this.store.at);
    for (const stream of this.store.streams.slice(0, ROWS_MAX)) {
      const row = this.streams.rows.rows.get(`${stream.channel}/${stream.symbol ?? ""}`);
      if (row !== undefined) setText(row.cells.age, age(stream, now, past));
    }
  }
}

/* Since anything of the stream was delivered, over the socket or over REST. */
function age(stream, now, past) {
  if (stream.last_at !== null && stream.last_at !== undefined) return span(now - stream.last_at);
  return stream.freshness_s === null || stream.freshness_s === undefined ? "–" : span(stream.freshness_s + past);
}

function fillStream(cells, stream, row) {
  const isRejected = stream.rejected !== null && stream.rejected !== undefined;
  const name = [word(stream.channel), ...(stream.symbol ? [word(stream.symbol)] : [])].join(" · ");
  put(cells.stream, name, name);
  put(cells["last-id"], count(stream.last_id), stream.epoch === null ? "" : `epoch ${word(stream.epoch, 40)}`);
  put(cells.price, price(stream.last_price));
  put(
    cells.source,
    isRejected ? `rejected: ${word(stream.rejected, 80)}` : word(stream.last_source, 12),
    isRejected ? word(stream.rejected, 200) : "",
  );
  setData(cells.source, "source", isRejected ? "REJECTED" : word(stream.last_source, 12));
  put(cells.live, count(stream.live));
  put(cells.backfilled, count(stream.backfilled));
  put(cells.polled, count(stream.polled));
  const gaps = stream.open_gaps.map((gap) => range(gap[0], gap[1]));
  put(
    cells.missing,
    stream.missing === 0 && gaps.length === 0 ? "none" : `${count(stream.missing)}: ${shortened(gaps)}`,
    gaps.join(", "),
  );
  const holes = stream.lost.map(([first, last, reason]) => `${range(first, last)} (${word(reason, 60)})`);
  put(
    cells.lost,
    holes.length === 0 && stream.lost_ids === 0
      ? "none"
      : `${count(stream.lost_ids)}: ${shortened(holes.slice().reverse())}`,
    holes.join(", "),
  );
  setData(
    row,
    "health",
    isRejected
      ? "rejected"
      : stream.missing > 0
        ? "missing"
        : stream.lost_ids > 0 || holes.length > 0
          ? "lost"
          : "whole",
  );
}

function shortened(ranges) {
  const more = ranges.length > RANGES_SHOWN ? ", …" : "";
  return ranges.slice(0, RANGES_SHOWN).join(", ") + more;
}

function fillOrder(cells, order) {
  put(cells.order, word(order.order_id), word(order.order_id, 200));
  put(cells.symbol, word(order.symbol), word(order.symbol));
  put(cells.side, word(order.side, 12));
  put(cells.type, word(order.type, 20));
  put(cells.quantity, amount(order.quantity));
  put(cells.price, order.price === null ? "market" : price(order.price));
  put(cells.filled, amount(order.filled), `${amount(order.filled)} of ${amount(order.quantity)}`);
  put(cells.status, word(order.status, 40).toLowerCase().replaceAll("_", " "));
  put(cells.updated, moment(order.updated_at), order.updated_at === null ? "" : word(order.updated_at));
}

function fillBalance(cells, balance) {
  put(cells.asset, word(balance.asset, 24), word(balance.asset));
  put(cells.free, amount(balance.free));
  put(cells.locked, amount(balance.locked));
}
