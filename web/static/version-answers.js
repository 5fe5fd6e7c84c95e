// What a version answered to the test pictures of its dataset, with the pictures.

import { readAnswers } from "./api.js";
import { showProblem } from "./buttons.js";
import { element } from "./dom.js";
import { percent } from "./format.js";

//: Pictures that are shown at once; a button shows more.
const SHOWN = 12;

/** Return a function that fills a box with the pictures of a cell of the confusion matrix. @param {object} model */
export const cellPictures = (model) => async (box, { truth, answer }) => {
  if ((await ifStored(fillPictures(box, model, { label: truth, answer }))) === null) box.textContent = "This version has no stored answers.";
};

/** Return what `reading` gives, or null if the version has no stored answers. @template T @param {Promise<T>} reading @returns {Promise<T | null>} */
export async function ifStored(reading) {
  try {
    return await reading;
  } catch (problem) {
    if (problem.status === 404) return null;
    throw problem;
  }
}

/**
 * Fill a box with test pictures, and a button for more. Return how many there are.
 * @param {HTMLElement} box @param {object} model @param {Record<string, any>} query which, in which order
 */
export async function fillPictures(box, model, query) {
  const list = element("ul", { class: "shots" });
  const more = element("button", { type: "button", class: "btn btn-quiet shots-more" }, "Show more");
  let after = null;
  const load = async () => {
    const page = await readAnswers(model.version, { ...query, after, limit: SHOWN });
    after = page.next;
    more.hidden = after === null;
    const tiles = page.data.map((found) => tileOf(model.dataset.name, found));
    list.append(...tiles);
    return { total: page.total, tiles };
  };
  more.addEventListener("click", () => load().then(({ tiles }) => tiles.find((tile) => tile.querySelector("a"))?.querySelector("a").focus()).catch(showProblem));
  const { total } = await load();
  box.replaceChildren(list, more);
  return total;
}

function tileOf(dataset, found) {
  const { picture } = found;
  const words = wordsOf(found).map((text) => element("span", {}, text));
  const text = [element("strong", {}, found.label), ...words];
  if (picture === null) return element("li", {}, element("div", { class: "thumb" }, "deleted"), ...text);
  const image = element("img", { src: `${picture.links.image}?size=thumb`, alt: picture.filename, width: picture.width, height: picture.height, loading: "lazy", decoding: "async" });
  const address = `/datasets/${dataset}?${new URLSearchParams({ q: picture.filename })}`;
  return element("li", {}, element("a", { href: address }, element("div", { class: "thumb" }, image), ...text));
}

/** Say what was answered, before and now, and what has changed since. @param {{label: string, prediction: object, before: object | null, unknown: boolean, picture: object | null}} found */
export function wordsOf({ label, prediction, before, unknown, picture }) {
  const score = percent(prediction.score);
  const said = prediction.label === label ? `right, ${score}` : `taken for ${prediction.label}, ${score}`;
  return [
    said,
    ...(unknown ? ["answered unknown"] : []),
    ...(before && before.label !== prediction.label ? [`before: ${before.label}`] : []),
    ...(picture && picture.label !== label ? [`now labelled ${picture.label ?? "with nothing"}`] : []),
  ];
}
