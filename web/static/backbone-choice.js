// The pretrained network that the trainings of a dataset start from.

import { readModelsOf } from "./api.js";
import { byId, element, show } from "./dom.js";

//: The one that ships with Darkroom, and the classifier whose versions all of them are.
const USUAL = "everyday";

/** Return the names of the networks, the usual one first. @param {{preset: string, embedding: number | null}[]} models */
export function namesOf(models) {
  const names = models.filter(({ embedding }) => embedding).map(({ preset }) => preset).toSorted();
  return [...new Set([USUAL, ...names])];
}

/** Offer the networks if there are several. @param {() => void} changed */
export async function offerBackbones(changed) {
  const names = namesOf(await readModelsOf(USUAL));
  byId("backbone").replaceChildren(...names.map((value) => element("option", { value }, value)));
  byId("backbone").addEventListener("change", changed);
  show("backbone-choice", names.length > 1);
}

/** Return the parameter of a training that names the chosen network; none for the usual one. */
export function chosenBackbone() {
  const { value } = byId("backbone");
  return value && value !== USUAL ? { backbone: value } : {};
}
