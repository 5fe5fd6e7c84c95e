// Makes a version the champion, after asking.

import { promoteModel, readChampion } from "./api.js";
import { confirmed } from "./confirm.js";
import { element, notice } from "./dom.js";
import { points, signed } from "./format.js";

/**
 * Ask, and let `model` serve new jobs. Says so where somebody else changed the champion meanwhile.
 * @param {object} model @param {object} champion the version that serves, as it is known
 * @param {string} etag of the champion that was seen @param {"promote" | "roll back"} what
 * @returns {Promise<string | null>} the version that serves now, null where nobody changed anything
 */
export async function promote(model, champion, etag, what = "promote") {
  const back = what === "roll back";
  const question = {
    title: back ? "Roll back to the champion before?" : "Let this model serve new jobs?",
    text: explanation(model, champion),
    yes: back ? "Roll back" : "Promote",
  };
  if (!(await confirmed(question))) return null;
  try {
    return (await promoteModel(model.version, etag)).champion.version;
  } catch (problem) {
    if (problem.status !== 412) throw problem;
    const { champion: now } = await readChampion();
    notice("Somebody else has changed the champion meanwhile:", `it is ${now.version} now. Look again, and promote then if you still want to.`);
    return now.version;
  }
}

function explanation(model, champion) {
  const name = ({ version }) => element("strong", {}, version);
  const change = element("p", {}, name(model), " takes over from ", name(champion), " within seconds. Jobs that were begun stay with theirs.");
  return [change, element("p", {}, comparison(model, champion))];
}

/** Compare the accuracies of two versions in one sentence. @param {object} model @param {object} champion */
export function comparison(model, champion) {
  if (!model.metrics) return "Nobody has measured how accurate it is.";
  const mine = `Accuracy on the test images: ${points(model.metrics.accuracy)}`;
  if (!champion.metrics) return `${mine}. The champion was not measured.`;
  const theirs = points(champion.metrics.accuracy);
  if (model.dataset?.digest !== champion.dataset?.digest) return `${mine}. The champion has ${theirs}, but not on the same images.`;
  return `${mine} instead of ${theirs} (${signed(model.metrics.accuracy - champion.metrics.accuracy)} points).`;
}
