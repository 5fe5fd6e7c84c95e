// The outcome of a training on a dataset, in plain words.

import { accuracyText, classesOf, intervalText, oftenRight } from "./accuracy.js";
import { byId, element, setText, show } from "./dom.js";
import { number } from "./format.js";
import { showMatrix } from "./matrix.js";
import { modelAddress, modelLink } from "./model-links.js";
import { showThreshold } from "./threshold.js";
import { cellPictures, fillPictures, ifStored } from "./version-answers.js";
import { showChanges } from "./version-changes.js";

/** Show how good the new version is, for each label, and whether it is in use from now on. @param {object} job @param {object} model */
export function showHead(job, model) {
  const { classifier, metrics, dataset } = model;
  setText("outcome-title", job.promotion?.promoted ? `The classifier ${classifier} is ready` : "The new version is ready, but not in use");
  const text = [element("p", { class: "outcome-accuracy", id: "measured" }, accuracyText(metrics)), element("p", {}, oftenRight(metrics, dataset.test)),
    element("p", { id: "promotion" }, whetherItServes(job, classifier)), element("p", { class: "model-version" }, modelLink(model.version))];
  byId("outcome-text").replaceChildren(...text);
  byId("outcome-rows").replaceChildren(...classesOf(metrics).map(rowOf));
  show("outcome-classes", true);
  byId("outcome-links").replaceChildren(
    element("a", { class: "btn btn-accent", href: `/?classifier=${encodeURIComponent(classifier)}` }, `Classify pictures with ${classifier}`),
    element("a", { class: "btn btn-quiet", href: `/datasets/${dataset.name}` }, "Back to the dataset"),
    ...(job.promotion?.promoted ? [] : [element("a", { class: "btn btn-quiet", href: `/classifiers/${encodeURIComponent(classifier)}` }, "Use it anyway")]),
    element("a", { class: "btn btn-quiet", href: modelAddress(model.version) }, "See the model"));
}

let tested = "";

/** Show the pictures behind the figures, once: changes, mistakes, confusions, and what is unknown. @param {object} model */
export async function showTested(model) {
  if (!model.metrics || tested === model.version) return;
  const wrong = await ifStored(fillPictures(byId("mistakes"), model, { right: false, sort: "surest" }));
  if (wrong !== null) await Promise.all([showChanges(model), showThreshold(model.version)]);
  show("mistakes-section", wrong > 0);
  showMatrix(model, cellPictures(model));
  tested = model.version;
}

/** Say whether the version is in use from now on, and why. @param {object} job @param {string} classifier */
export function whetherItServes({ params, promotion }, classifier) {
  if (params.promote === "never") return `It is not in use for ${classifier}, as you chose. Promote it to change that.`;
  if (!promotion) return "";
  const reason = inPlainWords(promotion.reason);
  return promotion.promoted ? `It is in use for ${classifier} from now on: ${reason}.` : `The version before stays in use for ${classifier}: ${reason}.`;
}

/** Return the reason of a decision without the words for experts. @param {string} reason */
function inPlainWords(reason) {
  return reason
    .replace(/\.$/, "")
    .replace(/^inconclusive: the champion stays/, "on the same test pictures, the new one is not better beyond chance")
    .replace(/^worse: the champion stays/, "on the same test pictures, the new one is worse")
    .replace(/: the champion stays/, "")
    .replace(/^the champion stays: /, "");
}

function rowOf({ label, recall, interval, support, takenFor }) {
  const right = `${number(Math.round(recall * support))} of ${number(support)}`;
  const cells = [right, intervalText(interval), takenFor ? `${takenFor.label} (${number(takenFor.count)})` : "–"];
  return element("tr", {}, element("th", { scope: "row" }, label), ...cells.map((text) => element("td", {}, text)));
}
