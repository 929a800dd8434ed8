/* Tabs by the pattern readers know: one is in the tab order, arrow keys, Home and End move and choose. */

import { KeyedRows, make, setAttribute, setText } from "./dom.js";
import { word } from "./text.js";

export class Tabs {
  constructor(host, panelId, choose) {
    this.host = host;
    this.choose = choose;
    this.names = [];
    this.selected = null;
    this.rows = new KeyedRows(
      host,
      (name) => {
        const node = make("button", { type: "button", role: "tab", "aria-controls": panelId });
        node.title = word(name);
        node.dataset.symbol = name;
        setText(node, word(name));
        node.addEventListener("click", () => this.select(name));
        return { node };
      },
      (row, name) => {
        setAttribute(row.node, "aria-selected", String(name === this.selected));
        setAttribute(row.node, "tabindex", name === this.selected ? "0" : "-1");
      },
    );
    host.addEventListener("keydown", (event) => this.key(event));
  }

  show(names) {
    this.names = names;
    if (!names.includes(this.selected)) this.selected = names[0] ?? null;
    this.rows.show(names.map((name) => [name, name]));
  }

  select(name) {
    this.selected = name;
    this.show(this.names);
    this.choose(name);
  }

  key(event) {
    const here = this.names.indexOf(this.selected);
    const last = this.names.length - 1;
    const there = {
      ArrowLeft: here === 0 ? last : here - 1,
      ArrowRight: here === last ? 0 : here + 1,
      Home: 0,
      End: last,
    }[event.key];
    if (there === undefined || last < 0) return;
    event.preventDefault();
    this.select(this.names[there]);
    const node = this.rows.rows.get(this.names[there]).node;
    node.focus();
    node.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
}
