/* The only ways this page makes and changes nodes: text stays text, and what did not change is not touched. */

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  return furnish(document.createElement(tag), attributes, children);
}

export function draw(tag, attributes = {}, ...children) {
  return furnish(document.createElementNS(SVG, tag), attributes, children);
}

function furnish(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  node.append(...children);
  return node;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setData(node, name, value) {
  if (node.dataset[name] !== value) node.dataset[name] = value;
}

export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/* The rows of a table body or list, by key: made once, filled in place, moved only where the order changed. */
export class KeyedRows {
  constructor(parent, build, fill) {
    this.parent = parent;
    this.build = build;
    this.fill = fill;
    this.rows = new Map();
  }

  show(entries) {
    const gone = new Set(this.rows.keys());
    let place = this.parent.firstElementChild;
    for (const [key, entry] of entries) {
      let row = this.rows.get(key);
      if (row === undefined) {
        row = this.build(key, entry);
        row.node.dataset.key = key;
        this.rows.set(key, row);
      }
      gone.delete(key);
      this.fill(row, entry);
      if (row.node === place) place = place.nextElementSibling;
      else this.parent.insertBefore(row.node, place);
    }
    for (const key of gone) {
      this.rows.get(key).node.remove();
      this.rows.delete(key);
    }
  }
}

/* A table body of cells with names, and one line of words where there is nothing to show. */
export class Table {
  constructor(table, names, fill, empty = "No data yet") {
    this.body = table.tBodies[0];
    this.emptyRow = make("tr", { class: "none" }, make("td", { colspan: names.length }, empty));
    const numeric = Array.from(table.tHead.rows[0].cells, (cell) => cell.classList.contains("num"));
    this.rows = new KeyedRows(
      this.body,
      () => {
        const cells = {};
        const node = make("tr");
        names.forEach((name, index) => {
          cells[name] = node.appendChild(make("td", { class: numeric[index] ? `num ${name}` : name }));
        });
        return { node, cells };
      },
      (row, entry) => fill(row.cells, entry, row.node),
    );
    this.body.append(this.emptyRow);
  }

  show(entries) {
    this.emptyRow.remove();
    this.rows.show(entries);
    if (entries.length === 0) this.body.append(this.emptyRow);
  }
}
