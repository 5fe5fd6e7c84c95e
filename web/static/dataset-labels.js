// The labels of a dataset as a list: counts with bars, filter and drop target in one.

import { arrange, byId, element, setText, show } from "./dom.js";
import { number } from "./format.js";
import { keyed, keyOf } from "./label-keys.js";
import { picturesOf } from "./training-advice.js";

//: Labels above which they can be searched, and the most that are shown at once.
const SEARCHABLE = 20;
const MOST = 200;
//: Rows that are not labels: all pictures, and those without a label.
const ALL = { name: "All pictures", value: "", state: "" };
const NONE = { name: "Without a label", value: "", state: "unlabelled" };

/** The list. */
export class LabelList {
  /** @param {(label: string, state: string) => void} onChoose called with the filter of the clicked row */
  constructor(onChoose) {
    Object.assign(this, { onChoose, dataset: null, chosen: ["", ""], rows: new Map() });
    byId("find-label").addEventListener("input", () => this.#fill());
    byId("label-rows").addEventListener("click", ({ target }) => {
      const row = target.closest("button")?.closest("li");
      if (row) this.onChoose(row.dataset.label, row.dataset.state);
    });
  }

  /** @param {object} dataset */
  show(dataset) {
    this.dataset = dataset;
    for (const id of ["find-label", "find-label-text"]) show(id, dataset.labels.length > SEARCHABLE);
    this.#fill();
  }

  /** Mark the chosen row. @param {string} label @param {string} state */
  choose(label, state) {
    this.chosen = [label, state];
    setText("labels-chosen", label ? `only ${label}` : state ? "only those without a label" : "");
    for (const row of this.rows.values()) this.#mark(row);
  }

  #fill() {
    const { pictures, unlabelled, labels } = this.dataset;
    const most = Math.max(1, ...labels.map(picturesOf));
    const rows = [this.#row({ ...ALL, count: pictures }), ...(unlabelled ? [this.#row({ ...NONE, count: unlabelled })] : [])];
    const found = matching(labels, byId("find-label").value).slice(0, MOST);
    rows.push(...found.map((label) => this.#row({ ...label, value: label.name, state: "", key: keyed(labels.length) ? keyOf(labels.indexOf(label)) : "", count: picturesOf(label), most })));
    arrange(byId("label-rows"), rows);
  }

  /** Return a row. One that is shown is updated in place, so that it keeps the focus. */
  #row({ name, value, state, key = "", count, most = 0, train = 0, test = 0 }) {
    const id = JSON.stringify([value, state]);
    const row = this.rows.get(id) ?? newRow(name, value, state);
    this.rows.set(id, row);
    this.#mark(row);
    row.querySelector(".label-count").textContent = number(count);
    row.querySelector("kbd").textContent = key.toUpperCase();
    row.querySelector("kbd").hidden = !key;
    row.style.setProperty("--train", String(most ? train / most : 0));
    row.style.setProperty("--test", String(most ? test / most : 0));
    row.title = most ? `${number(train)} to learn from, ${number(test)} to test with` : "";
    return row;
  }

  #mark(row) {
    const pressed = this.chosen[0] === row.dataset.label && this.chosen[1] === row.dataset.state;
    row.firstElementChild.setAttribute("aria-pressed", String(pressed));
  }
}

/** Return the labels whose name contains a text, whatever their case. @param {{name: string}[]} labels @param {string} text */
export const matching = (labels, text) => labels.filter(({ name }) => name.toLowerCase().includes(text.trim().toLowerCase()));

function newRow(name, value, state) {
  const bar = element("span", { class: "split-bar", "aria-hidden": "true" });
  const button = element("button", { type: "button", "aria-pressed": "false" },
    element("span", { class: "label-name" }, name), element("span", { class: "label-count" }), bar);
  return element("li", { "data-label": value, "data-state": state, class: value ? "label-row" : "" }, button, element("kbd", { "aria-hidden": "true" }));
}
