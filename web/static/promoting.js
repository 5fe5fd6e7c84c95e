// Promotes a version to champion, after confirmation.

import { promoteModel, readChampionOf } from "./api.js";
import { confirmed } from "./confirm.js";
import { element, notice } from "./dom.js";
import { precisePercent, signedPoints } from "./format.js";

/**
 * Ask for confirmation and make `model` the champion. Show a notice if the champion was changed elsewhere.
 * @param {object} model @param {object} champion the current champion
 * @param {string} etag of the champion that was seen @param {"promote" | "roll back"} what
 * @returns {Promise<string | null>} the champion's version, or null if cancelled
 */
export async function promote(model, champion, etag, what = "promote") {
  const back = what === "roll back";
  const question = {
    title: back ? "Roll back to the previous champion?" : "Promote this model?",
    text: explanation(model, champion),
    yes: back ? "Roll back" : "Promote",
  };
  if (!(await confirmed(question))) return null;
  try {
    return (await promoteModel(model.classifier, model.version, etag)).champion.version;
  } catch (problem) {
    if (problem.status !== 412) throw problem;
    const now = (await readChampionOf(model.classifier))?.champion ?? { version: "gone" };
    notice("The champion was changed elsewhere.", `It is now ${now.version}. Promote again if you still want to.`);
    return now.version;
  }
}

function explanation(model, champion) {
  const name = ({ version }) => element("strong", {}, version);
  const change = element("p", {}, name(model), " replaces ", name(champion), " within seconds. Running jobs keep their model.");
  return [change, element("p", {}, comparison(model, champion))];
}

/** Return a sentence that compares the accuracies. @param {object} model @param {object} champion */
export function comparison(model, champion) {
  if (!model.metrics) return "Its accuracy has not been measured.";
  const mine = `Accuracy on the test images: ${precisePercent(model.metrics.accuracy)}`;
  if (!champion.metrics) return `${mine}. The champion has not been measured.`;
  const theirs = precisePercent(champion.metrics.accuracy);
  if (model.dataset?.digest !== champion.dataset?.digest) return `${mine}. The champion has ${theirs}, measured on other images.`;
  return `${mine} instead of ${theirs} (${signedPoints(model.metrics.accuracy - champion.metrics.accuracy)} points).`;
}
