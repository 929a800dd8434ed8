/* Starts the page: feed -> store -> what is drawn, once per frame and only what changed. */

import { Chart } from "./charts.js";
import { Diagram } from "./diagram.js";
import { Faults } from "./faults.js";
import { Feed } from "./feed.js";
import { Header } from "./header.js";
import { Journal } from "./journal.js";
import { Meters } from "./meters.js";
import { Store } from "./store.js";
import { Tables } from "./tables.js";
import { Timeline } from "./timeline.js";

const TICK_MS = 250;
/* Faster than this nobody reads; what comes meanwhile is drawn together. */
const FRAME_MS = 100;
const JOURNAL_EVERY_MS = 500;

const store = new Store();
let connected = false;
const clock = () => store.now(connected);

const header = new Header(store);
const diagram = new Diagram();
const timeline = new Timeline(store, clock);
const tables = new Tables(store);
const meters = new Meters(store);
const journal = new Journal(store);
const faults = new Faults(store, clock);
const chart = new Chart(store);
let wanted = false;
let shownAt = -FRAME_MS;
let journalAt = 0;

function show() {
  wanted = false;
  shownAt = performance.now();
  header.update();
  chart.update();
  timeline.update();
  tables.update();
  meters.update();
  faults.update();
  tick();
}

function tick() {
  if (document.hidden || store.revision < 0) return;
  const now = clock();
  header.tick(now);
  diagram.show(store, now);
  timeline.shift();
  tables.tick(now);
  if (performance.now() - journalAt >= JOURNAL_EVERY_MS) {
    journalAt = performance.now();
    journal.update(now);
  }
}

function take(picture) {
  if (!store.apply(picture)) return false;
  if (picture.whole) timeline.svg = undefined;
  if (!wanted) {
    wanted = true;
    setTimeout(() => requestAnimationFrame(show), Math.max(0, FRAME_MS - (performance.now() - shownAt)));
  }
  return true;
}

function line(status) {
  const wasConnected = connected;
  connected = status === "live" || status === "crowded";
  header.line(status);
  if (connected && !wasConnected) faults.load(store.mode);
}

chart.start();
diagram.load().then(tick);
const feed = new Feed(take, line);
setInterval(tick, TICK_MS);

/* For tests in a browser: to read, never to change. */
window.gaplessPage = Object.freeze({
  get revision() {
    return store.revision;
  },
  get run() {
    return store.run;
  },
  get connected() {
    return feed.connected;
  },
  get state() {
    return store.state.name;
  },
  get symbols() {
    return Array.from(store.candles.keys());
  },
  candles: (symbol) => structuredClone(store.candles.get(symbol)?.bars ?? []),
  transitions: () => structuredClone(store.transitions),
  items: () => Array.from(store.items.values(), (item) => structuredClone(item)),
  sizes: () => ({
    transitions: store.transitions.length,
    items: store.items.size,
    nodes: document.querySelectorAll("*").length,
  }),
});
