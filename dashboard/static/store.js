/* All the page knows: the last whole picture with every change since, bounded. No DOM. */

const TRANSITIONS_MAX = 500;
const ITEMS_MAX = 2000;
const CANDLES_MAX = 600;
const SYMBOLS_MAX = 200;
const POINTS_MAX = 300;
/* The server's own bound. */
const PRICE_MAX = 1e15;
const STATE = { name: "", since: 0, before: null, trigger: null, reason: "", generation: 0, retry_at: null };

export class Store {
  constructor() {
    this.forget();
  }

  forget() {
    this.revision = -1;
    this.run = null;
    this.at = 0;
    this.receivedAt = 0;
    this.mode = "feed";
    this.title = "";
    this.interval = 1;
    this.span = 300;
    this.state = STATE;
    this.transitions = [];
    this.items = new Map();
    this.streams = [];
    this.orders = [];
    this.balances = [];
    this.heartbeat = { last: null, points: [] };
    this.rest = null;
    this.counters = new Map();
    this.candles = new Map();
  }

  /* The server's clock as it is now, stopped at the last word from it while the server is gone. */
  now(connected) {
    return connected ? this.at + Math.min(60, (performance.now() - this.receivedAt) / 1000) : this.at;
  }

  /* Returns false where the change belongs to a picture this page does not have: a new one must be asked for. */
  apply(picture) {
    if (!picture.whole && picture.run !== this.run) return false;
    if (!picture.whole && picture.revision < this.revision) return true;
    if (picture.whole) this.forget();
    this.revision = picture.revision;
    this.run = picture.run;
    this.at = picture.at;
    this.receivedAt = performance.now();
    this.mode = picture.mode;
    this.title = picture.title;
    this.interval = picture.interval_s > 0 ? picture.interval_s : 1;
    this.span = picture.span_s > 0 ? picture.span_s : 300;
    this.state = picture.state ?? STATE;
    this.streams = picture.streams ?? [];
    this.rest = picture.rest ?? null;
    this.counters = new Map(Object.entries(picture.counters ?? {}));
    if (Array.isArray(picture.orders)) this.orders = picture.orders;
    if (Array.isArray(picture.balances)) this.balances = picture.balances;
    /* A change brings only what is new, in the order in which it happened: no clock is asked, since clocks are set back. */
    append(this.transitions, picture.transitions ?? [], TRANSITIONS_MAX);
    append(this.heartbeat.points, picture.heartbeat?.points ?? [], POINTS_MAX);
    this.heartbeat.last = picture.heartbeat?.last_s ?? null;
    for (const item of picture.items ?? []) this.items.set(item.id, item);
    this.dropOldItems();
    for (const [symbol, bars] of Object.entries(picture.candles ?? {})) this.enter(symbol, bars);
    return true;
  }

  dropOldItems() {
    const horizon = this.at - this.span - 5;
    for (const [id, item] of this.items) {
      const isOpen = item.kind === "gap" && item.ended_at === null;
      if (!isOpen && (item.ended_at ?? item.at) < horizon) this.items.delete(id);
    }
    for (const id of this.items.keys()) {
      if (this.items.size <= ITEMS_MAX) break;
      this.items.delete(id);
    }
  }

  enter(symbol, bars) {
    let series = this.candles.get(symbol);
    if (series === undefined) {
      if (this.candles.size >= SYMBOLS_MAX) return;
      series = { bars: [], changed: 0, correctedAt: 0 };
      this.candles.set(symbol, series);
    }
    series.changed += 1;
    for (const bar of bars) {
      if (!sane(bar)) continue;
      const last = series.bars.at(-1);
      if (last === undefined || bar.t > last.t) series.bars.push(bar);
      else if (bar.t === last.t) series.bars[series.bars.length - 1] = bar;
      else {
        correct(series.bars, bar);
        series.correctedAt = series.changed;
      }
    }
    if (series.bars.length > CANDLES_MAX) series.bars.splice(0, series.bars.length - CANDLES_MAX);
  }
}

function append(list, more, max) {
  list.push(...more);
  if (list.length > max) list.splice(0, list.length - max);
}

function sane(bar) {
  return (
    Number.isSafeInteger(bar.t) &&
    [bar.o, bar.h, bar.l, bar.c].every((value) => Number.isFinite(value) && Math.abs(value) <= PRICE_MAX)
  );
}

function correct(bars, bar) {
  let low = 0;
  let high = bars.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (bars[middle].t < bar.t) low = middle + 1;
    else high = middle;
  }
  bars.splice(low, bars[low]?.t === bar.t ? 1 : 0, bar);
}
