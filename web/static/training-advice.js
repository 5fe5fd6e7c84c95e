// Whether a dataset can be trained on, what it lacks, and how long a training takes.

import { number, plural } from "./format.js";

//: Pictures of each label that a training needs, and below which its accuracy is uncertain.
export const NEEDED = 5;
export const FEW = 50;
//: Seconds that a training takes besides its pictures, and pictures per second, on two cores.
const FIXED_S = 8;
const PICTURES_PER_S = 250;
//: Labels that a text names.
const NAMED = 3;

/** Return the number of pictures of a label. @param {{train: number, test: number}} label */
export const picturesOf = ({ train, test }) => train + test;

/** Return why no training is possible, or an empty text. @param {{name: string, train: number, test: number}[]} labels @param {number} unlabelled pictures */
export function lacks(labels, unlabelled = 0) {
  const used = labels.filter(picturesOf);
  if (!used.length && unlabelled) return "The pictures have no label yet. Select those that show the same thing, and give them its label; then the others.";
  if (!used.length) return "Add pictures of at least two things to tell apart.";
  if (used.length === 1) return `All labelled pictures are “${used[0].name}”. Add pictures of something else.`;
  const thin = used.filter((label) => picturesOf(label) < NEEDED);
  return thin.length ? `A training needs ${NEEDED} pictures of each label. Too few: ${named(thin)}.` : "";
}

/** Return what would make a training better, or an empty text. @param {{name: string, train: number, test: number}[]} labels */
export function advice(labels) {
  const few = labels.filter((label) => picturesOf(label) && picturesOf(label) < FEW).toSorted((one, other) => picturesOf(one) - picturesOf(other));
  return few.length ? `With fewer than ${FEW} pictures of a label, its accuracy is uncertain. Fewest: ${named(few)}.` : "";
}

function named(labels) {
  const some = labels.slice(0, NAMED).map((label) => `${label.name} (${number(picturesOf(label))})`);
  if (labels.length > NAMED) some.push(`and ${number(labels.length - NAMED)} more`);
  return some.join(", ");
}

/** Return the expected seconds of a training. @param {number} pictures */
export const trainingSeconds = (pictures) => Math.round(FIXED_S + pictures / PICTURES_PER_S);

/**
 * Return the expected seconds of a training of the whole network, or null if its speed is not known.
 * @param {{train: number}[]} labels @param {object} preset
 */
export function finetuneSeconds(labels, { cost, parameters }) {
  const pictures = labels.reduce((sum, { train }) => sum + train, 0);
  return cost.images_per_s ? (parameters.epochs.default * pictures) / cost.images_per_s : null;
}

/** Return the pictures of a dataset in words. @param {{pictures: number, unlabelled: number, labels: object[]}} dataset */
export function contentOf({ pictures, unlabelled, labels }) {
  const words = [plural(pictures, "picture"), plural(labels.length, "label")];
  if (unlabelled) words.push(`${number(unlabelled)} without a label`);
  return words.join(", ");
}

/** Return a dataset name from what a person typed: "My mugs!" → "my-mugs". @param {string} text */
export const nameFrom = (text) =>
  text.normalize("NFKD").toLowerCase().replaceAll(/[^a-z0-9]+/g, "-").slice(0, 64).replaceAll(/^-+|-+$/g, "");
