// Examples of a cell of the confusion matrix, cut out of one image that has some of each wrong cell.

import { byId, element } from "./dom.js";

//: Examples per cell in the image.
const EXAMPLES = 3;

/** Return a function that fills a box with examples of a cell. @param {object} model */
export const sheetExamples = (model) => async (box, { truth, answer, count }) => {
  if (truth === answer) return;
  const sheet = await loaded(model.links.confusions);
  if (!sheet) {
    if (box.isConnected) byId("examples-text").append(" This model has no stored examples.");
    return;
  }
  const label = `${model.labels[truth]} classified as ${model.labels[answer]}`;
  const made = Array.from({ length: Math.min(EXAMPLES, count) }, (_, place) => cutOut(sheet, model.labels.length, truth, answer * EXAMPLES + place, label));
  box.className = "example-row";
  box.replaceChildren(...made);
};

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
