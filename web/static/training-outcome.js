// The outcome and parameters of a training.

import { sentence } from "./api.js";
import { byId, element, setText, show } from "./dom.js";
import { plural, precisePercent } from "./format.js";
import { compareAddress, modelLink } from "./model-links.js";

/** Show the new version and whether it was promoted. @param {object} job */
export function showPromotion(job) {
  show("outcome", true);
  const promoted = job.promotion?.promoted ?? false;
  setText("outcome-title", promoted ? "The new model serves new jobs" : "The new model is ready");
  byId("outcome-text").replaceChildren(
    element("p", { class: "model-version" }, modelLink(job.model)),
    element("p", { id: "promotion" }, promotionText(job)),
  );
  byId("outcome-links").replaceChildren(element("a", { class: "btn btn-accent", href: `/models/${job.model}` }, "See the model"));
}

/** Return whether the new version was promoted, and why. @param {object} job */
export function promotionText({ params, promotion }) {
  if (params.promote === "never") return "It was not promoted, as you chose. Promote it to let it serve new jobs.";
  if (!promotion) return "";
  return `${promotion.promoted ? "Promoted" : "Not promoted"}: ${sentence(promotion.reason)}`;
}

/** Show the model's accuracy and a link to compare it. @param {object} model @param {string | null} champion the version that serves */
export function showModel(model, champion) {
  const accuracy = model.metrics ? `${precisePercent(model.metrics.accuracy)} of the test images are classified correctly.` : "";
  byId("outcome-text").append(element("p", { id: "measured" }, accuracy));
  if (model.corrections) byId("outcome-text").append(element("p", { id: "corrected" }, correctionsText(model.corrections)));
  if (champion === model.version || champion === null) return;
  const compare = element("a", { class: "btn btn-quiet", href: compareAddress(champion, model.version) }, "Compare with the champion");
  byId("outcome-links").append(compare);
}

/** Return the accuracy on held-out corrections. @param {object} corrections of the model's card */
export function correctionsText({ held_out: held, accuracy, champion_accuracy: champion }) {
  if (accuracy === null) return "None of the corrected pictures are in the held-out set.";
  const rival = champion === null ? "" : `; the champion at that time: ${precisePercent(champion)}`;
  return `On ${plural(held, "held-out corrected picture")} its accuracy is ${precisePercent(accuracy)}${rival}.`;
}

/** Show the parameters of a training. @param {Record<string, any>} params */
export function showParams(params) {
  const words = "promote" in params ? { ...params, promote: readableName(params.promote) } : params;
  byId("params").replaceChildren(...Object.entries(words).map(([name, value]) => pair(readableName(name), value)));
}

/** Return one pair of a definition list. @param {string} name @param {any} value */
export function pair(name, value) {
  const text = value === null ? "–" : value === true ? "yes" : value === false ? "no" : String(value);
  return element("div", {}, element("dt", {}, name), element("dd", {}, text));
}

/** Return a name as words: "batch_size" → "batch size". @param {string} name */
export const readableName = (name) => name.replaceAll("_", " ");
