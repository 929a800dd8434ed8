/* The first glance: is the feed whole, where is the controller, since when and why; and whether the server is there. */

import { byId, setAttribute, setData, setText } from "./dom.js";
import { CONDITIONS, clock, span, wholeness, word } from "./text.js";

const ANNOUNCE_EVERY_MS = 2500;

export class Header {
  constructor(store) {
    this.store = store;
    this.announced = "";
    this.announcedAt = -ANNOUNCE_EVERY_MS;
    this.everConnected = false;
  }

  update() {
    const { state, streams, title, mode, revision } = this.store;
    if (revision < 0) return;
    const name = word(state.name, 24);
    setText(byId("feed-title"), `${mode === "demo" ? "demo: " : ""}${word(title, 80)}`);
    setText(byId("state-badge"), name);
    setText(byId("state-condition"), CONDITIONS.get(state.name) ?? "");
    setText(byId("state-reason"), word(state.reason, 160));
    setAttribute(byId("state-reason"), "title", word(state.reason, 400));
    const [code, sentence, note] = wholeness(streams, state.name);
    setText(byId("wholeness"), sentence);
    setText(byId("wholeness-note"), note);
    for (const node of [document.body, byId("state-badge")]) setData(node, "state", name);
    for (const node of [document.body, byId("wholeness")]) setData(node, "whole", code);
    setText(document.querySelector("title"), `${name}: ${sentence} · gapless`);
    this.announce(`${name}, ${CONDITIONS.get(state.name) ?? ""}. ${sentence}.`);
  }

  tick(now) {
    const { state, revision } = this.store;
    if (revision < 0) return;
    const wait =
      state.retry_at !== null && state.retry_at > now ? `, next attempt in ${span(state.retry_at - now)}` : "";
    setText(byId("state-since"), `for ${span(now - state.since)}${wait}`);
  }

  line(connected) {
    setData(document.body, "connected", String(connected));
    const banner = byId("banner");
    this.everConnected ||= connected;
    banner.hidden = connected;
    if (connected) return;
    const kept = this.everConnected ? `showing data as of ${clock(this.store.at)}; retrying` : "no data yet; retrying";
    setText(banner, `Connection to the dashboard server lost; ${kept}`);
  }

  /* Read out when state or sentence changed, not faster than one can listen. */
  announce(text) {
    const summary = text.replace(/[\d,]+/g, "#");
    const now = performance.now();
    if (summary === this.announced || now - this.announcedAt < ANNOUNCE_EVERY_MS) return;
    this.announced = summary;
    this.announcedAt = now;
    setText(byId("announcer"), text);
  }
}
