/* Glue to lightweight-charts: one chart, one symbol at a time, changed bar by bar where possible. */

import { candleData, markerData, precision, summary, volumeData } from "./candles.js";
import { byId, setText } from "./dom.js";
import { Tabs } from "./tabs.js";
import { clock, count, counted, duration, price, word } from "./text.js";

const COLOURS = ["panel", "text", "muted", "line", "up", "down", "volume-up", "volume-down", "rest", "lost"];
/* The chart keeps every bar it was ever given; past this it is given the bounded ones anew. */
const SURPLUS_MAX = 120;

export class Chart {
  constructor(store) {
    this.store = store;
    this.tabs = new Tabs(byId("symbol-tabs"), "chart-panel", () => this.update());
    this.drawn = { symbol: null, changed: -1, length: 0, lastT: 0, markers: "" };
    this.chart = null;
    this.hovered = null;
  }

  start() {
    const library = window.LightweightCharts;
    if (library === undefined) {
      setText(byId("chart-empty"), "The chart library did not load");
      return;
    }
    this.chart = library.createChart(byId("chart"), {
      autoSize: true,
      layout: { attributionLogo: false, fontSize: 11, fontFamily: getComputedStyle(document.body).fontFamily },
      crosshair: { mode: library.CrosshairMode.Normal },
      rightPriceScale: { borderVisible: false, scaleMargins: { top: 0.1, bottom: 0.25 } },
      timeScale: {
        borderVisible: false,
        timeVisible: true,
        secondsVisible: true,
        rightOffset: 3,
        barSpacing: 9,
        minBarSpacing: 1,
        tickMarkFormatter: (at) => clock(at),
      },
      localization: { locale: "en-US", timeFormatter: (at) => clock(at) },
      handleScroll: { vertTouchDrag: false },
    });
    this.candles = this.chart.addSeries(library.CandlestickSeries, { borderVisible: true, priceLineStyle: 2 });
    this.volume = this.chart.addSeries(library.HistogramSeries, {
      priceScaleId: "",
      priceLineVisible: false,
      lastValueVisible: false,
      priceFormat: { type: "volume" },
    });
    this.volume.priceScale().applyOptions({ scaleMargins: { top: 0.84, bottom: 0 } });
    this.markers = library.createSeriesMarkers(this.candles, []);
    this.chart.subscribeCrosshairMove((move) => {
      this.hovered = move.time ?? null;
      this.readout();
    });
    this.paint();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
  }

  paint() {
    const style = getComputedStyle(document.documentElement);
    const c = {};
    for (const name of COLOURS)
      c[name.replace(/-(.)/, (_, letter) => letter.toUpperCase())] = style.getPropertyValue(`--${name}`).trim();
    this.colours = c;
    this.chart.applyOptions({
      layout: { background: { type: "solid", color: c.panel }, textColor: c.muted },
      grid: { vertLines: { color: c.line }, horzLines: { color: c.line } },
    });
    this.candles.applyOptions({
      upColor: c.panel,
      borderUpColor: c.up,
      wickUpColor: c.up,
      downColor: c.down,
      borderDownColor: c.down,
      wickDownColor: c.down,
    });
    this.drawn.symbol = null;
    this.update();
  }

  update() {
    const series = this.store.candles.get(this.choose());
    byId("chart-empty").hidden = this.chart !== null && series !== undefined && series.bars.length > 0;
    if (this.chart === null) return;
    setText(byId("chart-empty"), emptiness(this.store, this.tabs.selected));
    const symbol = this.tabs.selected;
    if (series === undefined) {
      this.whole(symbol, { bars: [], changed: 0 });
    } else if (symbol === this.drawn.symbol && series !== this.drawn.series) {
      this.whole(symbol, series);
    } else if (symbol !== this.drawn.symbol) {
      this.whole(symbol, series);
      this.chart.timeScale().applyOptions({ barSpacing: 9 });
      this.chart.timeScale().scrollToRealTime();
    } else if (series.changed !== this.drawn.changed) {
      this.advance(symbol, series);
    }
    this.drawn.series = series;
    this.readout();
  }

  /* The tabs are the symbols with prices, in the order of the streams, and whatever else has candles. */
  choose() {
    const { candles, streams } = this.store;
    const names = new Set(
      streams
        .filter((one) => candles.has(one.symbol) || (one.symbol && one.last_price !== null))
        .map((one) => one.symbol),
    );
    for (const symbol of candles.keys()) names.add(symbol);
    this.tabs.show(Array.from(names));
    return this.tabs.selected;
  }

  advance(symbol, series) {
    const { bars } = series;
    const isCorrected = series.correctedAt > this.drawn.changed;
    const from = bars.findLastIndex((bar) => bar.t <= this.drawn.lastT);
    if (isCorrected || from < 0 || this.drawn.length > bars.length + SURPLUS_MAX) return this.whole(symbol, series);
    for (const bar of candleData(bars, this.store.interval, from)) this.candles.update(bar);
    for (const bar of volumeData(bars, this.colours, from)) this.volume.update(bar);
    this.mark(bars);
    this.remember(symbol, series, this.drawn.length + bars.length - 1 - from);
  }

  whole(symbol, series) {
    const digits = precision(series.bars);
    this.candles.applyOptions({ priceFormat: { type: "price", precision: digits, minMove: 10 ** -digits } });
    this.candles.setData(candleData(series.bars, this.store.interval));
    this.volume.setData(volumeData(series.bars, this.colours));
    this.drawn.markers = null;
    this.mark(series.bars);
    this.remember(symbol, series, series.bars.length);
  }

  mark(bars) {
    const markers = markerData(bars, this.colours);
    const shape = markers.map((marker) => `${marker.time}${marker.text}${marker.shape}`).join();
    if (shape !== this.drawn.markers) this.markers.setMarkers(markers);
    this.drawn.markers = shape;
  }

  remember(symbol, series, length) {
    Object.assign(this.drawn, { symbol, changed: series.changed, length, lastT: series.bars.at(-1)?.t ?? 0 });
  }

  readout() {
    const bars = this.drawn.series?.bars ?? [];
    const bar = (this.hovered === null ? undefined : bars.find((one) => one.t === this.hovered)) ?? bars.at(-1);
    const text =
      bar === undefined
        ? ""
        : [
            clock(bar.t),
            `O ${price(bar.o)}`,
            `H ${price(bar.h)}`,
            `L ${price(bar.l)}`,
            `C ${price(bar.c)}`,
            counted(bar.n, "point"),
            ...(bar.over_rest > 0 ? [`${count(bar.over_rest)} over REST`] : []),
            ...(bar.lost ? ["continuity lost"] : []),
          ].join("  ");
    setText(byId("candle-readout"), text);
    setText(byId("chart-scale"), bar === undefined ? "" : `${duration(this.store.interval)} candles over volume`);
    byId("chart-panel").setAttribute(
      "aria-label",
      bar === undefined
        ? "Candlestick chart: no data yet"
        : `Candlestick chart of ${word(this.drawn.symbol)}: ${summary(bars)}`,
    );
  }
}

/* Why there is no candle of a symbol. What was refused is counted of all symbols together. */
export function emptiness({ streams, counters }, symbol) {
  const hasCome = streams.some((one) => one.last_id !== null && (symbol === null || one.symbol === symbol));
  const times = counters.get("absurd_times") ?? 0;
  const prices = counters.get("absurd_prices") ?? 0;
  const why = [];
  if (times > 0)
    why.push(`${counted(times, "point")} refused: the venue's time is more than a day ahead of this machine's`);
  if (prices > 0) why.push(`${counted(prices, "point")} refused: negative, not a number, or above any price there is`);
  return hasCome && why.length > 0 ? `No candles. ${why.join(". ")}` : "No data yet";
}
