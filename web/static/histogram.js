// The number of pictures in each class: a bar chart, table and filter in one.

import { matching } from "./dataset-labels.js";
import { arrange, byId, element, setText, show } from "./dom.js";
import { number } from "./format.js";
import { keyOf } from "./label-keys.js";

//: Classes above which only those that occur are listed, and listed ones from which they can be searched.
const MOST = 35;
const SEARCHABLE = 20;
//: The row of the unknown pictures. A class may have this name too.
export const UNKNOWN = Symbol("unknown");

/** The table's rows. `onChoose` receives the clicked class, UNKNOWN, or "" for all. */
export class Histogram {
  /** @param {string[]} labels @param {(label: string | symbol) => void} onChoose */
  constructor(labels, onChoose) {
    Object.assign(this, { onChoose, rows: new Map(), chosen: "", few: labels.length <= MOST, counts: [], unknown: 0 });
    const first = this.few ? labels : [];
    ["", ...first].forEach((label, place) => this.rows.set(label, rowOf(label, keyOf(place - 1), onChoose)));
    this.rows.set(UNKNOWN, rowOf(UNKNOWN, "", onChoose));
    byId("find-class").addEventListener("input", () => this.show(this.counts, this.unknown));
    this.#list(first);
  }

  /** @param {{label: string, count: number, corrected: number}[]} counts @param {number} unknown number of unknown pictures */
  show(counts, unknown) {
    Object.assign(this, { counts, unknown });
    const total = { label: "", count: sum(counts, "count") + unknown, corrected: sum(counts, "corrected") };
    const most = Math.max(1, unknown, ...counts.map(({ count }) => count));
    const listed = this.few ? counts : this.#found(occurring(counts, this.chosen));
    this.#list(listed.map(({ label }) => label));
    for (const { label, count, corrected } of [total, ...listed, { label: UNKNOWN, count: unknown, corrected: 0 }]) {
      const [name, pictures, changed] = this.rows.get(label).children;
      pictures.textContent = number(count);
      changed.textContent = corrected ? number(corrected) : "–";
      name.style.setProperty("--share", label ? String(count / most) : "0");
    }
  }

  /** Return those of the classes that occur that are searched for. */
  #found(counts) {
    show("find-class", counts.length > SEARCHABLE);
    return matching(counts.map((each) => ({ ...each, name: each.label })), byId("find-class").value);
  }

  /** List these classes, in order, and the unknown pictures if there are any. */
  #list(labels) {
    for (const label of labels) if (!this.rows.has(label)) this.rows.set(label, rowOf(label, "", this.onChoose));
    const unknown = this.unknown || this.chosen === UNKNOWN ? [UNKNOWN] : [];
    arrange(byId("classes-rows"), ["", ...labels, ...unknown].map((label) => this.rows.get(label)));
    this.#mark();
  }

  /** Mark the chosen class. @param {string | symbol} chosen */
  choose(chosen) {
    this.chosen = chosen;
    setText("classes-chosen", chosen && `only ${nameOf(chosen)}`);
    this.show(this.counts, this.unknown);
  }

  #mark() {
    for (const [label, row] of this.rows) row.querySelector("button").setAttribute("aria-pressed", String(label === this.chosen));
  }
}

/** Return the classes that occur, most frequent first, and the chosen one. @param {{label: string, count: number}[]} counts @param {string} chosen */
export const occurring = (counts, chosen) =>
  counts.filter(({ label, count }) => count > 0 || label === chosen).toSorted((one, other) => other.count - one.count);

/** Return the sum of one figure. @param {any[]} counts @param {string} name */
export const sum = (counts, name) => counts.reduce((all, count) => all + count[name], 0);

const nameOf = (label) => (label === UNKNOWN ? "unknown" : label || "All");

function rowOf(label, key, onChoose) {
  const button = element("button", { type: "button", "aria-pressed": "false" }, label === UNKNOWN ? element("em", {}, "Unknown") : nameOf(label));
  button.addEventListener("click", () => onChoose(label));
  const hint = key && label ? [element("kbd", { "aria-hidden": "true" }, key.toUpperCase())] : [];
  return element("tr", {}, element("th", { scope: "row" }, button, ...hint), element("td", {}, "–"), element("td", {}, "–"));
}
