// Previews of the chosen pictures, before anything is sent.

import { element } from "./dom.js";
import { number } from "./format.js";

const SHOWN = 12;
//: Bytes of the largest file that gets a preview.
const MOST_BYTES = 6 * 1024 * 1024;

let addresses = [];

/** Show previews of some of these files in `place`. @param {Element} place @param {any[]} choices */
export function showPreviews(place, choices) {
  addresses.forEach((address) => URL.revokeObjectURL(address));
  const small = choices.filter(({ file, archive }) => !archive && file.size <= MOST_BYTES).slice(0, SHOWN);
  addresses = small.map(({ file }) => URL.createObjectURL(file));
  place.replaceChildren(...addresses.map(preview));
  place.hidden = !small.length;
  if (small.length && choices.length > small.length) {
    place.append(element("span", { class: "previews-more" }, `+${number(choices.length - small.length)}`));
  }
}

function preview(address) {
  const image = element("img", { src: address, alt: "", width: 64, height: 64, decoding: "async" });
  image.addEventListener("error", () => image.remove()); // a format that this browser does not support
  return image;
}
