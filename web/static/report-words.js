// The report on a dataset in words: what to do next, most useful first.

import { intervalText } from "./accuracy.js";
import { number, percent, plural } from "./format.js";
import { groupsOf } from "./near-copies.js";
import { NEEDED } from "./training-advice.js";

//: Least growth of the accuracy from the last quarter of the pictures for which more of them are advised.
const GROWS = 0.005;
//: Least gain of a label from ten more pictures that is worth a word.
const WORTH = 0.01;
//: Labels that a text names.
const NAMED = 3;

/** @typedef {"doubted" | "unlabelled" | "copies" | "decide-doubts" | "decide-labels" | "decide-copies" | "add"} Shown what a button of the report shows */

/**
 * Return what the report advises. `show` names the pictures that a button shows: of copies, those of the picture `id`.
 * `decide` names what another button asks about one by one, `add` the labels to which buttons lead, to add pictures.
 * @param {any} report
 * @returns {{text: string, show?: Shown, id?: string, decide?: Shown, add?: string[]}[]}
 */
export function adviceOf({ thin_labels: thin, same_but_case: twins, imbalance, computed }) {
  const lines = twins.map((names) => ({ text: `${names.join(" and ")} differ only in upper and lower case. Merge them if they mean the same.` }));
  if (imbalance) lines.push({ text: `${imbalance.most} has ${number(Math.round(imbalance.ratio))} times the pictures of ${imbalance.fewest}. Add pictures of ${imbalance.fewest}.`, add: [imbalance.fewest] });
  lines.push(...thinLines(thin));
  return computed ? [...lines, ...learntLines(computed), ...copyLines(computed)] : lines;
}

function thinLines(thin) {
  const found = thin.filter(({ pictures, problem }) => pictures && problem === "too_few").slice(0, NAMED);
  return found.map(({ label, pictures }) => ({ text: `${label} has only ${plural(pictures, "picture")}: a training needs ${NEEDED}.`, add: [label] }));
}

function learntLines({ learnt, revision }) {
  if (!learnt) return [];
  const { doubted, gains, unknown } = learnt;
  const lines = [];
  if (doubted.pictures) lines.push({ text: `${plural(doubted.pictures, "picture")} may have the wrong label. Look at them: about half of the doubted labels are right after all.`, show: "doubted", decide: "decide-doubts" });
  if (unknown.unlabelled) lines.push({ text: `${plural(unknown.unlabelled, "picture")} without a label ${unknown.unlabelled === 1 ? "is" : "are"} unlike the others.`, show: "unlabelled" });
  return [...lines, ...curveLines(learnt, revision), ...gainLines(gains)];
}

function curveLines({ curve, curve_revision: measuredAt }, revision) {
  const [before, last] = curve.slice(-2);
  if (!before || !last) return [];
  const grown = last.accuracy - before.accuracy;
  const verdict = grown > GROWS ? "More pictures still raise the accuracy." : "More pictures of the same kind hardly raise the accuracy now.";
  const when = measuredAt === revision ? "" : " Measured before the latest changes.";
  return [{ text: `With ${number(before.pictures)} pictures to learn from, ${percent(before.accuracy)} are right; with ${number(last.pictures)}, ${percent(last.accuracy)} (${intervalText(last.interval)}). ${verdict}${when}` }];
}

function gainLines(gains) {
  const best = gains.filter(({ gain }) => gain >= WORTH).slice(0, NAMED).map(({ label }) => label);
  return best.length ? [{ text: `Ten more pictures would help these labels most: ${best.join(", ")}.`, add: best }] : [];
}

function copyLines({ near_copies: { groups, groups_with_several_labels: mixed, listed } }) {
  const [first] = groupsOf(listed, true);
  const alike = groups - mixed;
  const lines = [];
  if (mixed) {
    const text = `${plural(mixed, "group")} of near copies ${mixed === 1 ? "has" : "have"} several labels. Look whether one of them is wrong.`;
    lines.push(first ? { text, show: "copies", id: first[0].id, decide: "decide-labels" } : { text });
  }
  if (alike) {
    const text = `${plural(alike, "group")} of near copies ${alike === 1 ? "has one label" : "have one label each"}. They do no harm, but teach little more than one picture would.`;
    lines.push(groupsOf(listed, false).length ? { text, decide: "decide-copies" } : { text });
  }
  return lines;
}
