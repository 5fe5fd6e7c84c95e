// The classifier of a dataset: how good it is, and whether a training can make a better one.

import { accuracyText } from "./accuracy.js";
import { readModel, readPresets } from "./api.js";
import { findClassifier } from "./datasets-api.js";
import { byId, element, icon, setText, show } from "./dom.js";
import { ago, duration } from "./format.js";
import { classifierLink } from "./model-links.js";
import { advice, finetuneSeconds, lacks, trainingSeconds } from "./training-advice.js";

//: Fewest seconds that the button promises: the cores may be busy.
const LEAST_S = 10;

/** Offer to train, or say what is missing. @param {object} dataset */
export function showTraining({ labels, pictures, unlabelled }) {
  const missing = lacks(labels, unlabelled);
  const seconds = Math.max(LEAST_S, trainingSeconds(pictures - unlabelled));
  byId("train").disabled = Boolean(missing);
  byId("train").replaceChildren(icon("play"), missing ? "Train" : `Train (about ${duration(seconds)})`);
  setText("train-hint", missing || advice(labels));
}

/** Offer to train the whole network, with its price. @param {object} dataset */
async function offerFinetune({ labels }) {
  const { data } = await readPresets();
  const seconds = finetuneSeconds(labels, data.find(({ name }) => name === "finetune"));
  byId("finetune").replaceChildren(icon("play"), seconds === null ? "Fine-tune" : `Fine-tune (about ${duration(Math.max(LEAST_S, seconds))})`);
  show("finetune-offer", !lacks(labels));
}

/** Say how good the dataset's classifier is, and offer a better one. @param {object} dataset */
export async function showClassifier(dataset) {
  const { name, revision } = dataset;
  const classifier = await findClassifier(name);
  if (!classifier?.champion) return;
  const { metrics, created_at: made, dataset: learnt } = await readModel(classifier.champion.version);
  const since = learnt?.revision !== undefined && learnt.revision !== revision ? " The dataset has changed since." : "";
  byId("quality").replaceChildren("The classifier ", classifierLink(name), " is right for ",
    element("strong", {}, accuracyText(metrics)), ` of its test pictures. It was trained ${ago(made)}.${since}`);
  show("classify", true);
  byId("classify").href = `/?classifier=${encodeURIComponent(name)}`;
  await offerFinetune(dataset);
}
