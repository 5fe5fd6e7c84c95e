// What came out of a training, and what it was asked for.

import { sentence } from "./api.js";
import { byId, element, setText, show } from "./dom.js";
import { plural, points } from "./format.js";
import { compareAddress, modelLink } from "./model-links.js";

/** The version that the job made, and what became of it. @param {object} job */
export function showPromotion(job) {
  show("outcome", true);
  const promoted = job.promotion?.promoted ?? false;
  setText("outcome-title", promoted ? "The new model serves new jobs" : "The new model is ready");
  byId("outcome-text").replaceChildren(
    element("p", { class: "model-version" }, modelLink(job.model)),
    element("p", { id: "promotion" }, becameOf(job)),
  );
  byId("outcome-links").replaceChildren(element("a", { class: "btn btn-accent", href: `/models/${job.model}` }, "See the model"));
}

/** Say whether the new version was promoted, and why. @param {object} job */
export function becameOf({ params, promotion }) {
  if (params.promote === "never") return "It does not serve yet: promoting it was left to you.";
  if (!promotion) return "";
  return `${promotion.promoted ? "Promoted" : "Not promoted"}: ${sentence(promotion.reason)}`;
}

/** Its accuracy, and how to compare it. @param {object} model @param {string} champion the version that serves */
export function showModel(model, champion) {
  const accuracy = model.metrics ? `${points(model.metrics.accuracy)} of the test images get their right label.` : "";
  byId("outcome-text").append(element("p", { id: "measured" }, accuracy));
  if (model.corrections) byId("outcome-text").append(element("p", { id: "corrected" }, correctionsText(model.corrections)));
  if (champion === model.version) return;
  const compare = element("a", { class: "btn btn-quiet", href: compareAddress(champion, model.version) }, "Compare with the champion");
  byId("outcome-links").append(compare);
}

/** Report the accuracy on held-out corrections. @param {object} corrections of the model's card */
export function correctionsText({ held_out: held, accuracy, champion_accuracy: champion }) {
  if (accuracy === null) return "None of the corrected pictures fell to those that are held out to judge by.";
  const rival = champion === null ? "" : `, the champion of that time ${points(champion)}`;
  return `Of ${plural(held, "corrected picture")} that it has not learnt from it gets ${points(accuracy)} right${rival}.`;
}

/** The parameters of the job, as a list of pairs. @param {Record<string, any>} params */
export function showParams(params) {
  byId("params").replaceChildren(...Object.entries(params).map(([name, value]) => pair(words(name), value)));
}

/** One pair of a list. @param {string} name @param {any} value */
export function pair(name, value) {
  const text = value === null ? "–" : value === true ? "yes" : value === false ? "no" : String(value);
  return element("div", {}, element("dt", {}, name), element("dd", {}, text));
}

/** A parameter's name for people: "batch_size" → "batch size". @param {string} name */
export const words = (name) => name.replaceAll("_", " ");
