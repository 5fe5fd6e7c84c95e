// What a version answers otherwise than the one before it, on the test pictures that both were tested on.

import { readAnswers, readModelsOf } from "./api.js";
import { byId, show } from "./dom.js";
import { number, plural } from "./format.js";
import { modelLink } from "./model-links.js";
import { fillPictures } from "./version-answers.js";

/** Show what has changed, if there is a version before. @param {object} model */
export async function showChanges(model) {
  const before = versionBefore(model, await readModelsOf(model.classifier));
  if (before === null) return;
  const against = before.version;
  const { total } = await readAnswers(model.version, { against, limit: 1 });
  const [better, worse] = await Promise.all(
    ["better", "worse"].map((changed) => fillPictures(byId(`${changed}-pictures`), model, { against, changed, sort: "surest" })));
  byId("changes-text").replaceChildren("Against ", modelLink(against), `, the version before: ${changesText(total, better, worse)}${othersText(total, model, before)}`);
  for (const [name, count] of [["better", better], ["worse", worse]]) show(`${name}-part`, count > 0);
  show("changes-section", true);
}

/** Return the newest earlier version that learnt from the same dataset, or null. @param {object} model @param {object[]} models */
export function versionBefore({ created_at: created, version, dataset }, models) {
  const earlier = models.filter((other) => other.version !== version && other.created_at < created && other.dataset?.id === dataset.id && other.metrics);
  return earlier.reduce((newest, other) => (newest === null || other.created_at > newest.created_at ? other : newest), null);
}

/** Say that the two were not tested on the same pictures. @param {number} total pictures that both were tested on @param {object} model @param {object} before */
export function othersText(total, { dataset: now }, { dataset: then }) {
  if (now.test === total && then.test === total) return "";
  return ` The figures of the two are not about the same pictures: this one was tested on ${plural(now.test, "picture")}, the one before on ${number(then.test)}.`;
}

/** Say how many answers have changed. @param {number} total pictures that both were tested on @param {number} better @param {number} worse */
export function changesText(total, better, worse) {
  if (!total) return "no picture was used to test both.";
  const both = `on ${plural(total, "test picture")} that both were tested on, `;
  if (!better && !worse) return `${both}neither is right where the other is wrong.`;
  return `${both}${better} ${better === 1 ? "is" : "are"} right now that ${better === 1 ? "was" : "were"} wrong, and ${worse} ${worse === 1 ? "is" : "are"} wrong now that ${worse === 1 ? "was" : "were"} right.`;
}
