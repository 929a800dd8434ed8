/* The first glance: is the feed whole, where is the controller, since when and why; and whether the server is there. */

import { byId, setAttribute, setData, setText } from "./dom.js";
import { CONDITIONS, clock, span, wholeness, word } from "./text.js";

const ANNOUNCE_EVERY_MS = 2500;

export class Header {
  constructor(store) {
    this.store = store;
    this.announced = "";
    this.announcedAt = -ANNOUNCE_EVERY_MS;
    this.status = "lost";
    this.isFresh = false;
  }

  update() {
    const { state, streams, title, mode, revision, rest } = this.store;
    if (revision < 0) return;
    if (!this.isFresh) {
      this.past();
      return;
    }
    const name = word(state.name, 24);
    setText(byId("feed-title"), `${mode === "demo" ? "demo: " : ""}${word(title, 80)}`);
    setText(byId("state-badge"), name);
    setText(byId("state-condition"), CONDITIONS.get(state.name) ?? "");
    setText(byId("state-reason"), word(state.reason, 160));
    setAttribute(byId("state-reason"), "title", word(state.reason, 400));
    const [code, sentence, note] = wholeness(streams, state.name, rest?.succeeded ?? 0);
    setText(byId("wholeness"), sentence);
    setText(byId("wholeness-note"), note);
    this.code(name, code);
    setText(document.querySelector("title"), `${name}: ${sentence} · gapless`);
    this.announce(`${name}, ${CONDITIONS.get(state.name) ?? ""}. ${sentence}.`);
  }

  /* Nobody tells of the feed any more: what was true once is not said as if it still were. */
  past() {
    const { state, streams, at, rest } = this.store;
    const when = clock(at);
    const [, sentence] = wholeness(streams, state.name, rest?.succeeded ?? 0);
    setText(byId("wholeness"), `Unknown; as of ${when}: ${sentence}`);
    setText(byId("wholeness-note"), "");
    setText(byId("state-badge"), "UNKNOWN");
    setText(byId("state-condition"), `was ${word(state.name, 24)} as of ${when}`);
    setText(byId("state-since"), "");
    setText(byId("state-reason"), "");
    this.code("", "unknown");
    const why = this.status === "paused" ? "(paused while hidden)" : "(no server)";
    setText(document.querySelector("title"), `${why} as of ${when} · gapless`);
  }

  code(name, code) {
    for (const node of [document.body, byId("state-badge")]) setData(node, "state", name);
    for (const node of [document.body, byId("wholeness")]) setData(node, "whole", code);
  }

  tick(now) {
    const { state, revision } = this.store;
    if (revision < 0 || !this.isFresh) return;
    setText(byId("state-since"), `for ${span(now - state.since)}${next(state, now)}`);
  }

  /* How the page hears of the feed: "live", "lost", "slow" (no answer), "crowded" (asked for), "paused" (hidden). */
  line(status) {
    this.status = status;
    this.isFresh = status === "live" || status === "crowded";
    if (status !== "paused") setData(document.body, "connected", String(this.isFresh));
    const banner = byId("banner");
    banner.hidden = status === "live" || status === "paused";
    if (!banner.hidden) setText(banner, this.trouble());
    this.update();
  }

  trouble() {
    const { revision, at } = this.store;
    if (this.status === "crowded") return `Too many pages are open; close one. Until then the data are of ${clock(at)}`;
    const kept = revision < 0 ? "no data yet" : `showing data as of ${clock(at)}`;
    if (this.status === "slow")
      return `No answer from the dashboard server, or this browser has too many pages of it open; ${kept}; retrying`;
    return `Connection to the dashboard server lost; ${kept}; retrying`;
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

function next(state, now) {
  if (state.retry_at === null) return state.name === "REST_FALLBACK" ? ", gave up; waiting for the app" : "";
  return state.retry_at > now ? `, next attempt in ${span(state.retry_at - now)}` : "";
}
