// The choice of the classifier that answers, and what is known about it.

import { readModel } from "./api.js";
import { accuracyText } from "./accuracy.js";
import { readClassifiers } from "./datasets-api.js";
import { byId, element, setText, show } from "./dom.js";
import { ago, number } from "./format.js";
import { modelLink } from "./model-links.js";
import { loadAll, save } from "./storage.js";
import { pair } from "./training-outcome.js";

//: localStorage key of the last choice.
const LAST = "darkroom.classifier";
//: Labels that are shown.
const SHOWN = 40;

let classifiers = [];

/** Return the name of the chosen classifier; "" for the default. */
export const chosenClassifier = () => byId("classifier").value;

/** Load the classifiers and choose one: that of the page's address, else the last one, else the default. */
export async function offerClassifiers() {
  classifiers = (await readClassifiers()).filter(({ champion }) => champion);
  const options = classifiers.map(({ name, owner }) => element("option", { value: name }, owner === null ? name : `${name} (my own)`));
  byId("classifier").replaceChildren(...options);
  byId("classifier").value = firstChoice(classifiers, new URLSearchParams(location.search).get("classifier"), loadAll(LAST)[0]);
  byId("classifier").addEventListener("change", () => {
    save(LAST, chosenClassifier());
    showChosen().catch(() => {}); // it can be used without these facts
  });
  show("classifier-choice", classifiers.length > 0);
  if (classifiers.length) await showChosen();
}

/** Return the classifier to offer first. @param {{name: string, default: boolean}[]} all @param {string | null} asked in the page's address @param {string | undefined} last chosen before */
export function firstChoice(all, asked, last) {
  const names = all.map(({ name }) => name);
  return [asked, last].find((name) => name && names.includes(name)) ?? all.find((each) => each.default)?.name ?? names[0] ?? "";
}

/** Choose the default classifier, for what is sent now: the choice that is offered at the next visit stays. */
export async function chooseDefault() {
  byId("classifier").value = firstChoice(classifiers, null, undefined);
  if (classifiers.length) await showChosen();
}

async function showChosen() {
  const chosen = classifiers.find(({ name }) => name === chosenClassifier());
  const model = await readModel(chosen.champion.version);
  if (chosen.name !== chosenClassifier()) return; // another one was chosen meanwhile
  const accuracy = model.metrics ? `, right for ${accuracyText(model.metrics)} of its test pictures` : "";
  setText("classifier-facts", `${number(model.labels.length)} classes${accuracy}, made ${ago(model.created_at)}`);
  showCard(chosen.name, model);
}

function showCard(name, model) {
  const { metrics, dataset, labels, unknown } = model;
  setText("model-title", `Classifier ${name}`);
  byId("model-version").replaceChildren(modelLink(model.version));
  const figures = [["Accuracy", accuracyText(metrics)], ["Made", ago(model.created_at)]];
  if (dataset) figures.splice(1, 0, ["Test pictures", number(dataset.test)], ["Trained on", number(dataset.train)]);
  byId("model-figures").replaceChildren(...figures.map(([what, value]) => pair(what, value)));
  setText("model-classes", `${number(labels.length)} classes`);
  const more = labels.length > SHOWN ? [element("li", { class: "labels-more" }, `and ${number(labels.length - SHOWN)} more`)] : [];
  byId("model-labels").replaceChildren(...labels.slice(0, SHOWN).map((label) => element("li", {}, label)), ...more);
  setText("model-hint", unknown ? "A picture of anything else is marked as unknown, or gets the most similar class." : "Any other picture gets the most similar class.");
  show("model", true);
}
