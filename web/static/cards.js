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
  return element("li", { class: `card-item card-${item.state}`, "data-key": item.key }, picture(jobId, item), ...body, name);
}

function picture(jobId, item) {
  // What no worker has decoded may be of any size, or no picture at all.
  if (item.state !== "succeeded") return element("div", { class: "thumb thumb-none" }, icon(item.state === "failed" ? "alert" : "stop"));
  const tiny = Math.max(item.width, item.height) <= TINY;
  const image = element("img", {
    src: imageAddress(jobId, item.key, true),
    alt: `${item.predictions[0]?.label ?? "picture"}: ${item.filename}`,
    width: item.width,
    height: item.height,
    loading: "lazy",
    decoding: "async",
    class: tiny ? "tiny" : "",
  });
  return element("a", { class: "thumb", href: imageAddress(jobId, item.key), target: "_blank", rel: "noopener" }, image);
}

function classified(item) {
  const [best] = item.predictions;
  const heading = element("h3", {}, element("span", {}, best.label), element("small", {}, `class ${best.index}`));
  return [heading, element("ol", { class: "shares" }, ...item.predictions.slice(0, TOP).map(share))];
}

function share({ label, score }) {
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
