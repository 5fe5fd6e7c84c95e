// The confusion matrix as a grid with arrow keys, or the most frequent confusions if it is large, and the pictures of one.

import { showProblem } from "./buttons.js";
import { byId, element, setText, show } from "./dom.js";
import { number, percent, plural } from "./format.js";

//: Labels above which the confusions are a list, since nobody finds anything in a larger matrix; and its longest.
export const MAX_MATRIX = 40;
const MAX_PAIRS = 50;
const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/**
 * Show the confusions of a measured model.
 * @param {object} model
 * @param {(box: HTMLElement, cell: {truth: number, answer: number, count: number}) => any} examples fills the box with pictures of a cell
 */
export function showMatrix(model, examples) {
  const choose = (cell) => chosen(model, cell, examples).catch(showProblem);
  const small = model.labels.length <= MAX_MATRIX;
  if (small) showGrid(model, choose);
  else showPairs(model, choose);
  show("matrix-frame", small);
  show("pairs-frame", !small);
  show("matrix-hint", small);
  show("matrix-section", true);
}

function showGrid({ labels, metrics }, choose) {
  const head = element("tr", {}, element("td"), ...labels.map((label) => element("th", { scope: "col" }, element("span", {}, label))));
  const body = metrics.confusion_matrix.map((counts, truth) => rowOf(labels, counts, truth));
  byId("matrix").replaceChildren(element("thead", {}, head), element("tbody", {}, ...body));
  cells()[0][0].tabIndex = 0;
  byId("matrix").addEventListener("keydown", move);
  byId("matrix").addEventListener("click", ({ target }) => {
    const cell = target.closest("[role=gridcell]");
    if (!cell) return;
    for (const one of cells().flat()) one.removeAttribute("aria-selected");
    cell.setAttribute("aria-selected", "true");
    focusOn(cell);
    choose(cellIn(cell));
  });
}

function showPairs({ labels, metrics }, choose) {
  const rows = confusedPairs(metrics.confusion_matrix).slice(0, MAX_PAIRS).map((cell) => pairRow(labels, cell));
  byId("pairs").replaceChildren(...rows);
  setText("pairs-none", rows.length ? "" : "No test picture is answered wrongly.");
  byId("pairs").addEventListener("click", ({ target }) => {
    const button = target.closest("button");
    if (!button) return;
    for (const one of byId("pairs").querySelectorAll("button")) one.setAttribute("aria-pressed", String(one === button));
    choose(cellIn(button));
  });
}

/** Return the cells beside the diagonal that have pictures, the most frequent first. @param {number[][]} matrix */
export function confusedPairs(matrix) {
  const found = matrix.flatMap((row, truth) => {
    const all = row.reduce((sum, count) => sum + count, 0);
    return row.map((count, answer) => ({ truth, answer, count, all })).filter((cell) => cell.count && cell.answer !== truth);
  });
  return found.toSorted((one, other) => other.count - one.count || other.count / other.all - one.count / one.all);
}

function pairRow(labels, { truth, answer, count, all }) {
  const data = { "data-truth": truth, "data-answer": answer, "data-count": count, "data-all": all };
  const button = element("button", { type: "button", "aria-pressed": "false", ...data }, labels[truth]);
  return element("tr", {}, element("th", { scope: "row" }, button), element("td", {}, labels[answer]), element("td", {}, `${number(count)} of ${number(all)}`));
}

const cellIn = ({ dataset }) => ({ truth: Number(dataset.truth), answer: Number(dataset.answer), count: Number(dataset.count), all: Number(dataset.all) });

function rowOf(labels, counts, truth) {
  const all = counts.reduce((sum, count) => sum + count, 0);
  const made = counts.map((count, answer) => cellOf(labels, { count, all, truth, answer }));
  return element("tr", {}, element("th", { scope: "row" }, labels[truth]), ...made);
}

function cellOf(labels, { count, all, truth, answer }) {
  const share = all ? count / all : 0;
  const said = `${labels[truth]} classified as ${labels[answer]}: ${number(count)}`;
  const cell = element("td", {
    role: "gridcell", tabindex: -1, "data-truth": truth, "data-answer": answer, "data-count": count, "data-all": all,
    "aria-label": truth === answer ? `${labels[truth]} classified correctly: ${number(count)}` : said,
    class: [truth === answer ? "right" : "wrong", share > 0.5 ? "strong" : ""].join(" ").trim(),
  }, number(count));
  // Errors are rare, so the square root makes them visible.
  cell.style.setProperty("--share", String(truth === answer ? share : Math.min(1, Math.sqrt(share) * 1.3)));
  return cell;
}

const cells = () => Array.from(byId("matrix").tBodies[0].rows, (row) => Array.from(row.querySelectorAll("[role=gridcell]")));

function move(event) {
  const cell = event.target.closest("[role=gridcell]");
  if (!cell) return;
  if (event.key === "Enter" || event.key === " ") cell.click();
  else if (event.key in STEPS) focusOn(neighbour(cell, STEPS[event.key]));
  else return;
  event.preventDefault();
}

function neighbour(cell, [down, right]) {
  const { truth, answer } = cell.dataset;
  return cells()[Number(truth) + down]?.[Number(answer) + right];
}

function focusOn(cell) {
  if (!cell) return;
  for (const one of cells().flat()) one.tabIndex = -1;
  cell.tabIndex = 0;
  cell.focus();
}

async function chosen({ labels }, { truth, answer, count, all }, examples) {
  const [shown, said] = [labels[truth], labels[answer]];
  const share = `${number(count)} of ${plural(all, `${shown} picture`)} (${percent(count / (all || 1))})`;
  const box = element("div");
  byId("example-box").replaceChildren(box); // what another cell still loads goes to its own box
  setText("examples-text", truth === answer ? `Correct: ${share}.` : `Classified as ${said}: ${share}.`);
  if (count) await examples(box, { truth, answer, count });
}
