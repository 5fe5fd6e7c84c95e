// The number of pictures in each class: a bar chart, table and filter in one.

import { arrange, byId, element, setText } from "./dom.js";
import { number } from "./format.js";
import { keyOf } from "./label-keys.js";

//: Classes above which only those that occur are listed.
const MOST = 35;

/** The table's rows. `onChoose` receives the clicked class; "" for all. */
export class Histogram {
  /** @param {string[]} labels @param {(label: string) => void} onChoose */
  constructor(labels, onChoose) {
    Object.assign(this, { onChoose, rows: new Map(), chosen: "", few: labels.length <= MOST });
    const first = this.few ? labels : [];
    ["", ...first].forEach((label, place) => this.rows.set(label, rowOf(label, keyOf(place - 1), onChoose)));
    byId("classes-rows").replaceChildren(...this.rows.values());
  }

  /** @param {{label: string, count: number, corrected: number}[]} counts */
  show(counts) {
    const total = { label: "", count: sum(counts, "count"), corrected: sum(counts, "corrected") };
    const most = Math.max(1, ...counts.map(({ count }) => count));
    const listed = this.few ? counts : occurring(counts, this.chosen);
    if (!this.few) this.#list(listed);
    for (const { label, count, corrected } of [total, ...listed]) {
      const [name, pictures, changed] = this.rows.get(label).children;
      pictures.textContent = number(count);
      changed.textContent = corrected ? number(corrected) : "–";
      name.style.setProperty("--share", label ? String(count / most) : "0");
    }
  }

  /** List these classes, in order. */
  #list(counts) {
    for (const { label } of counts) if (!this.rows.has(label)) this.rows.set(label, rowOf(label, "", this.onChoose));
    arrange(byId("classes-rows"), ["", ...counts.map(({ label }) => label)].map((label) => this.rows.get(label)));
    this.choose(this.chosen);
  }

  /** Mark the chosen class. @param {string} chosen */
  choose(chosen) {
    this.chosen = chosen;
    setText("classes-chosen", chosen && `only ${chosen}`);
    for (const [label, row] of this.rows) row.querySelector("button").setAttribute("aria-pressed", String(label === chosen));
  }
}

/** Return the classes that occur, most frequent first, and the chosen one. @param {{label: string, count: number}[]} counts @param {string} chosen */
export const occurring = (counts, chosen) =>
  counts.filter(({ label, count }) => count > 0 || label === chosen).toSorted((one, other) => other.count - one.count);

/** Return the sum of one figure. @param {any[]} counts @param {string} name */
export const sum = (counts, name) => counts.reduce((all, count) => all + count[name], 0);

function rowOf(label, key, onChoose) {
  const button = element("button", { type: "button", "aria-pressed": "false" }, label || "All");
  button.addEventListener("click", () => onChoose(label));
  const hint = key && label ? [element("kbd", { "aria-hidden": "true" }, key.toUpperCase())] : [];
  return element("tr", {}, element("th", { scope: "row" }, button, ...hint), element("td", {}, "–"), element("td", {}, "–"));
}
