// One result as a card.

import { imageAddress, sentence } from "./api.js";
import { element, icon } from "./dom.js";
import { percent } from "./format.js";

//: Predictions on a card.
const TOP = 3;
//: Longest side in pixels of pictures that are so small that blowing them up blurs them.
const TINY = 64;

/** A list element for one finished Item. @param {string} jobId @param {object} item */
export function card(jobId, item) {
  const body = item.predictions.length ? classified(item) : unclassified(item);
  const name = element("p", { class: "card-file", title: item.filename }, item.filename);
  return element("li", { class: `card-item card-${item.state}`, "data-key": item.key }, ...picture(jobId, item), ...body, name);
}

/** Show on its card that an item was corrected, or that this was undone. @param {Element} made @param {object} item */
export function recorrect(made, item) {
  made.querySelector("h3").replaceWith(heading(item));
  made.querySelector("img").alt = altOf(item);
}

/** What an item is called by now. @param {object} item */
export const labelOf = (item) => item.corrected_label ?? item.predictions[0].label;

/** Beside the class: what it was before it was corrected. @param {object} item */
export function remarkOf({ corrected_label: corrected, predictions: [best] }) {
  if (!corrected) return `class ${best.index}`;
  return corrected === best.label ? "confirmed" : `was ${best.label}`;
}

/** Whether a picture is so small that its pixels should be seen. @param {object} item */
export const isTiny = ({ width, height }) => Math.max(width, height) <= TINY;

function picture(jobId, item) {
  // What no worker has decoded may be of any size, or no picture at all.
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
  // The keyboard selects with Space on the picture itself, so that a page of pictures is one stop of Tab.
  const box = element("input", { type: "checkbox", class: "form-check-input", tabindex: -1, "aria-label": `Select ${item.filename}` });
  return [element("button", { type: "button", class: "thumb", tabindex: -1 }, image), element("label", { class: "pick" }, box)];
}

const altOf = (item) => `${labelOf(item)}: ${item.filename}`;

function classified(item) {
  return [heading(item), element("ol", { class: "shares" }, ...item.predictions.slice(0, TOP).map(share))];
}

function heading(item) {
  const corrected = item.corrected_label ? { class: "corrected" } : {};
  return element("h3", corrected, element("span", {}, labelOf(item)), element("small", {}, remarkOf(item)));
}

/** A prediction with its bar. @param {{label: string, score: number}} prediction */
export function share({ label, score }) {
  const bar = element("span", { class: "bar" });
  bar.style.setProperty("--share", String(score));
  return element("li", {}, element("span", {}, label), element("span", { class: "share" }, percent(score)), bar);
}

function unclassified(item) {
  const title = item.state === "failed" ? "Failed" : "Cancelled";
  if (!item.error) return [element("h3", {}, title), element("p", { class: "card-reason" }, "It was not looked at.")];
  const code = element("code", {}, item.error.code);
  return [element("h3", {}, title), element("p", { class: "card-reason" }, sentence(item.error.detail), " ", code)];
}
