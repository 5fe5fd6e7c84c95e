// The confusion matrix as a grid with arrow keys, and examples of the chosen cell.

import { byId, element, setText, show } from "./dom.js";
import { number, percent, plural } from "./format.js";

//: Examples per cell in the image of confusions.
const EXAMPLES = 3;
const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/** Show the matrix of a measured model. @param {object} model */
export function showMatrix(model) {
  const { labels, metrics } = model;
  const rows = metrics.confusion_matrix;
  const head = element("tr", {}, element("td"), ...labels.map((label) => element("th", { scope: "col" }, element("span", {}, label))));
  const body = rows.map((counts, truth) => rowOf(labels, counts, truth));
  byId("matrix").replaceChildren(element("thead", {}, head), element("tbody", {}, ...body));
  cells()[0][0].tabIndex = 0;
  byId("matrix").addEventListener("keydown", move);
  byId("matrix").addEventListener("click", ({ target }) => {
    const cell = target.closest("[role=gridcell]");
    if (cell) choose(model, cell);
  });
  show("matrix-section", true);
}

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

async function choose(model, cell) {
  for (const one of cells().flat()) one.removeAttribute("aria-selected");
  cell.setAttribute("aria-selected", "true");
  focusOn(cell);
  const { truth, answer, count, all } = cell.dataset;
  const [shown, said] = [model.labels[truth], model.labels[answer]];
  const share = `${number(Number(count))} of ${plural(Number(all), `${shown} image`)} (${percent(count / (all || 1))})`;
  byId("example-row").replaceChildren();
  if (truth === answer) return setText("examples-text", `Correct: ${share}.`);
  setText("examples-text", `Classified as ${said}: ${share}.`);
  if (Number(count)) await showExamples(model, cell.dataset);
  return undefined;
}

/** Show the examples, which are cut out of one image of all cells. */
async function showExamples(model, { truth, answer, count }) {
  const sheet = await loaded(model.links.confusions);
  const chosen = byId("matrix").querySelector("[aria-selected]");
  if (chosen.dataset.truth !== truth || chosen.dataset.answer !== answer) return; // another cell was chosen meanwhile
  if (!sheet) {
    byId("examples-text").append(" This model has no stored examples.");
    return;
  }
  const label = `${model.labels[truth]} classified as ${model.labels[answer]}`;
  const made = Array.from({ length: Math.min(EXAMPLES, Number(count)) }, (_, place) =>
    cutOut(sheet, model.labels.length, Number(truth), Number(answer) * EXAMPLES + place, label));
  byId("example-row").replaceChildren(...made);
}

function cutOut(sheet, labels, row, column, label) {
  const width = sheet.naturalWidth / (labels * EXAMPLES);
  const height = sheet.naturalHeight / labels;
  const canvas = element("canvas", { width, height, role: "img", "aria-label": label });
  canvas.getContext("2d").drawImage(sheet, column * width, row * height, width, height, 0, 0, width, height);
  return canvas;
}

const sheets = new Map();

/** Load an image, or return null if there is none. */
function loaded(address) {
  if (!address) return null;
  if (!sheets.has(address)) {
    const image = element("img", { src: address, alt: "" });
    sheets.set(address, image.decode().then(() => image, () => null));
  }
  return sheets.get(address);
}
