/* The rendered state diagram: fetched as a file of this server, inserted as nodes, lit by classes. */

import { byId, draw, setAttribute, setText } from "./dom.js";
import { CONDITIONS, clock, duration, span, word } from "./text.js";

/* Without the panel's border and the notes at its foot, which stand in the whole diagram. */
const COMPACT_BOX = "66 27 1070 526";

export class Diagram {
  constructor() {
    this.copies = [];
    this.shown = "";
    this.dialog = byId("diagram-dialog");
    byId("diagram-open").addEventListener("click", () => this.dialog.showModal());
  }

  async load() {
    const reply = await fetch("/static/states.svg");
    if (!reply.ok) return;
    const parsed = new DOMParser().parseFromString(withoutStyles(await reply.text()), "image/svg+xml");
    const root = parsed.documentElement;
    if (root.localName !== "svg" || parsed.querySelector("parsererror, script, foreignObject") !== null) return;
    plain(root);
    const compact = document.importNode(root, true);
    const whole = document.importNode(root, true);
    setAttribute(compact, "viewBox", COMPACT_BOX);
    setAttribute(compact, "class", "compact");
    for (const state of CONDITIONS.keys()) this.caption(compact, state);
    for (const node of whole.querySelectorAll("[id]")) node.id = `whole_${node.id}`;
    for (const node of whole.querySelectorAll('[fill^="url(#"]')) {
      setAttribute(node, "fill", node.getAttribute("fill").replace("url(#", "url(#whole_"));
    }
    byId("diagram").replaceChildren(compact);
    byId("diagram-whole").replaceChildren(whole);
    this.copies = [
      [compact, ""],
      [whole, "whole_"],
    ];
    this.shown = "";
  }

  /* In the small picture a card says in large letters what the state means for the feed. */
  caption(svg, state) {
    const card = svg.querySelector(`#state_${state}`);
    const header = card?.querySelector('text[font-weight="bold"]');
    if (!header) return;
    const x = Number(header.getAttribute("x"));
    const y = Number(header.getAttribute("y"));
    card.append(draw("text", { class: "condition", x, y: y + 54 }, CONDITIONS.get(state)));
    card.append(draw("text", { class: "share", x, y: y + 90 }));
    card.append(draw("text", { class: "here", x, y: y + 134 }, "▶ now"));
  }

  show(store, now) {
    const { state } = store;
    this.facts(store, now);
    const shown = `${state.name}/${state.before}/${state.since}`;
    if (shown !== this.shown && this.copies.length > 0) {
      this.shown = shown;
      for (const [svg, prefix] of this.copies) light(svg, prefix, state);
      setAttribute(byId("diagram"), "aria-label", `State diagram; now in ${word(state.name)}`);
    }
    const [spent, known] = timeSpent(store, now);
    const width = known > store.span - 1 ? duration(store.span) : `${Math.floor(known)} s`;
    for (const [name, seconds] of spent) {
      const share = seconds / Math.max(known, 1e-9);
      const node = this.copies[0]?.[0].querySelector(`#state_${name} .share`);
      if (node) setText(node, `${percent(share)} of ${width}`);
    }
  }

  facts({ state }, now) {
    const last =
      state.before === null
        ? "No transition yet"
        : `${word(state.before)} → ${word(state.name)} by ${word(state.trigger)} at ${clock(state.since, true)}: ${word(state.reason, 120)}`;
    setText(byId("last-transition"), last);
    setText(byId("generation"), String(state.generation));
    const wait =
      state.retry_at === null ? "none is due" : state.retry_at > now ? `in ${span(state.retry_at - now)}` : "due";
    setText(byId("retry"), wait);
  }
}

/* Inline styles are not allowed by this page's policy: the gradients' stops say their colours by attributes instead. */
function withoutStyles(text) {
  return text
    .replace(/ style="stop-color:([^;"]*);stop-opacity:([^;"]*);?"/g, ' stop-color="$1" stop-opacity="$2"')
    .replace(/ style="[^"]*"/g, "");
}

function plain(root) {
  for (const node of [root, ...root.querySelectorAll("*")]) {
    for (const { name } of Array.from(node.attributes))
      if (name.startsWith("on") || name.endsWith("href")) node.removeAttribute(name);
  }
  root.removeAttribute("width");
  root.removeAttribute("height");
}

function light(svg, prefix, state) {
  for (const node of svg.querySelectorAll(".current, .taken")) node.classList.remove("current", "taken");
  const find = (id) => svg.querySelector(`#${CSS.escape(prefix + id)}`);
  const card = find(`state_${state.name}`);
  card?.classList.add("current");
  if (state.before === null || state.before === state.name) return;
  const edge = find(`edge_${state.before}_${state.name}`);
  edge?.classList.add("taken");
  if (edge && card) card.parentNode.append(edge, card);
  find(`edge_${state.before}_${state.trigger}_${state.name}`)?.classList.add("taken");
}

function percent(share) {
  if (share > 0 && share < 0.001) return "<0.1 %";
  return `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
}

/* Seconds of the last minutes spent in each state, and how many are known of. */
function timeSpent({ state, transitions, span: width }, now) {
  const spent = new Map(Array.from(CONDITIONS.keys(), (name) => [name, 0]));
  let end = now;
  const start = now - width;
  const add = (name, from) => {
    if (spent.has(name)) spent.set(name, spent.get(name) + Math.max(0, end - Math.max(from, start)));
    end = Math.min(end, Math.max(from, start));
  };
  for (let index = transitions.length - 1; index >= 0 && end > start; index -= 1)
    add(transitions[index].after, transitions[index].at);
  if (transitions.length === 0) add(state.name, state.since);
  return [spent, now - end];
}
