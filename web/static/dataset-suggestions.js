// What the classifier suggests for the pictures on a page of a dataset.

import { suggestionOf } from "./dataset-pictures.js";
import { setText, show } from "./dom.js";
import { number, plural } from "./format.js";

/** Return the pictures for which another label is suggested. @param {any[]} pictures */
export const suggested = (pictures) => pictures.filter((picture) => suggestionOf(picture) !== null);

/** Offer to accept all suggestions for those of these pictures that have no label. @param {any[]} pictures */
export function offerSuggestions(pictures) {
  const { length } = suggested(pictures.filter(({ label }) => label === null));
  show("suggested", length > 0);
  setText("suggested-text", `The classifier suggests a label for ${plural(length, "picture")} on this page. Change wrong ones first, or delete them; then accept the rest.`);
  setText("suggested-accept-text", length === 1 ? "Accept it" : `Accept all ${number(length)}`);
}

/** Lead to the next pictures without a label, once these have one. @param {any[]} pictures @param {number} left pictures of the dataset without a label */
export function leadOn(pictures, left) {
  show("batch", pictures.length > 0 && pictures.every(({ label }) => label !== null));
  show("batch-next", left > 0);
  setText("batch-text", left ? `All pictures on this page have a label now. ${plural(left, "picture")} ${left === 1 ? "is" : "are"} left.` : "All pictures have a label now.");
}
