// Result cards.

import { imageAddress, sentence } from "./api.js";
import { element, icon } from "./dom.js";
import { percent } from "./format.js";

//: Predictions shown on a card.
const TOP = 3;
//: Longest side in pixels of a picture that is enlarged pixel by pixel, since smoothing would blur it.
const TINY = 64;

/** Return a list element for one finished Item. @param {string} jobId @param {object} item */
export function card(jobId, item) {
  const body = item.predictions.length ? classified(item) : unclassified(item);
  const name = element("p", { class: "card-file", title: item.filename }, item.filename);
  return element("li", { class: `card-item card-${item.state}`, "data-key": item.key }, ...picture(jobId, item), ...body, name);
}

/** Update a card after a correction. @param {Element} made @param {object} item */
export function updateCard(made, item) {
  made.querySelector("h3").replaceWith(heading(item));
  made.querySelector("img").alt = altOf(item);
}

/** Return the corrected label of an item, or else the predicted one, or that it is unknown. @param {object} item */
export const labelOf = (item) => item.corrected_label ?? (item.unknown ? "unknown" : item.predictions[0].label);

/** Return the remark beside the label: the class index, or what it was before a correction. @param {object} item */
export function remarkOf({ corrected_label: corrected, unknown, predictions: [best] }) {
  if (unknown) return `perhaps ${best.label}`;
  if (!corrected) return `class ${best.index}`;
  return corrected === best.label ? "confirmed" : `was ${best.label}`;
}

/** Explain the number of the remark "class 3". @param {object} item */
const tooltipOf = ({ corrected_label: corrected, unknown }) => (corrected || unknown ? {} : { title: "The place of this class in the model's list, counted from 0" });

/** Whether a picture should be enlarged pixel by pixel. @param {object} item */
export const isTiny = ({ width, height }) => Math.max(width, height) <= TINY;

function picture(jobId, item) {
  // A file that no worker has decoded may be huge, or not an image.
  if (item.state !== "succeeded") return [element("div", { class: "thumb thumb-none" }, icon(item.state === "failed" ? "alert" : "stop"))];
  const image = element("img", {
    src: imageAddress(jobId, item.key, true),
    alt: altOf(item),
    width: item.width,
    height: item.height,
    loading: "lazy",
    decoding: "async",
    class: isTiny(item) ? "tiny" : "",
  });
  // Space selects the focused picture, so the checkbox is not a tab stop.
  const box = element("input", { type: "checkbox", class: "form-check-input", tabindex: -1, "aria-label": `Select ${item.filename}` });
  return [element("button", { type: "button", class: "thumb", tabindex: -1 }, image), element("label", { class: "pick" }, box)];
}

const altOf = (item) => `${labelOf(item)}: ${item.filename}`;

function classified(item) {
  return [heading(item), element("ol", { class: "shares" }, ...item.predictions.slice(0, TOP).map(predictionRow))];
}

function heading(item) {
  const corrected = item.corrected_label ? { class: "corrected" } : {};
  return element("h3", corrected, element("span", {}, labelOf(item)), element("small", tooltipOf(item), remarkOf(item)));
}

/** Return a prediction as a row with a bar. @param {{label: string, score: number}} prediction */
export function predictionRow({ label, score }) {
  const bar = element("span", { class: "bar" });
  bar.style.setProperty("--share", String(score));
  return element("li", {}, element("span", {}, label), element("span", { class: "share" }, percent(score)), bar);
}

function unclassified(item) {
  const title = item.state === "failed" ? "Failed" : "Cancelled";
  if (!item.error) return [element("h3", {}, title), element("p", { class: "card-reason" }, "It was not classified.")];
  const code = element("code", {}, item.error.code);
  return [element("h3", {}, title), element("p", { class: "card-reason" }, sentence(item.error.detail), " ", code)];
}
