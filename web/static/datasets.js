// The page that lists the datasets and creates one.

import { readModel } from "./api.js";
import { accuracyText } from "./accuracy.js";
import { onClick, showProblem } from "./buttons.js";
import { createDataset, pictureAddress, readClassifiers, readDatasets, readPictures } from "./datasets-api.js";
import { announce, byId, element, notice, show } from "./dom.js";
import { ago, plural } from "./format.js";
import { contentOf, nameFrom } from "./training-advice.js";
import { sleep } from "./watch.js";

//: Pictures on a card.
const SHOWN = 4;
//: Name of the dataset to play with.
const SAMPLES = "shapes";
//: Milliseconds before a failed read is repeated.
const RETRY_MS = 4000;

async function open() {
  for (;;) {
    try {
      const [datasets, classifiers] = await Promise.all([readDatasets(), readClassifiers()]);
      notice(null);
      return showAll(datasets, classifiers);
    } catch (problem) {
      if (!problem.retryable) return showProblem(problem);
      notice(problem.title, `${problem.detail} Retrying automatically.`);
      await sleep(RETRY_MS);
    }
  }
}

function showAll(datasets, classifiers) {
  show("empty", !datasets.length);
  byId("datasets").replaceChildren(...datasets.map((dataset) => cardOf(dataset, classifiers.find(({ name }) => name === dataset.name))));
  announce(plural(datasets.length, "dataset"));
}

function cardOf(dataset, classifier) {
  const pictures = element("div", { class: "dataset-pictures", "aria-hidden": "true" });
  const quality = element("p", { class: "dataset-quality" }, "No classifier yet");
  const changed = element("time", { datetime: dataset.updated_at }, ago(dataset.updated_at));
  const link = element("a", { href: `/datasets/${dataset.name}` }, dataset.name);
  const card = element("li", { class: "dataset-card" }, pictures, element("h2", {}, link), element("p", {}, contentOf(dataset)), quality,
    element("p", { class: "hint" }, "Changed ", changed));
  showPictures(pictures, dataset).catch(() => {}); // the card works without them
  if (classifier?.champion) showQuality(quality, classifier).catch(() => {});
  return card;
}

async function showPictures(place, { name, pictures }) {
  if (!pictures) {
    place.append(element("p", { class: "hint" }, "No pictures yet"));
    return;
  }
  const { data } = await readPictures(name, { limit: SHOWN, sort: "newest" });
  place.replaceChildren(...data.map(({ id }) => element("img", { src: pictureAddress(name, id, true), alt: "", loading: "lazy" })));
}

async function showQuality(place, { champion }) {
  const { metrics } = await readModel(champion.version);
  place.replaceChildren("Right for ", element("strong", {}, accuracyText(metrics)));
}

async function create(event) {
  event.preventDefault();
  const name = nameFrom(byId("name").value);
  showFault(name ? "" : "Enter a name with a letter or a digit.");
  if (!name) return;
  const labels = [...new Set(byId("labels").value.split(/[,\n]/).map((label) => label.trim()).filter(Boolean))];
  byId("create").disabled = true;
  try {
    await createDataset(name, labels);
    location.assign(`/datasets/${name}`);
  } catch (problem) {
    if (problem.status === 409 || problem.status === 422) showFault(problem.detail);
    else showProblem(problem);
  } finally {
    byId("create").disabled = false;
  }
}

/** Make a dataset of pictures to play with; its page draws them. */
async function trySamples() {
  await createDataset(SAMPLES, []).catch((problem) => problem.status === 409 || Promise.reject(problem)); // in another tab
  location.assign(`/datasets/${SAMPLES}#draw`);
}

function showFault(text) {
  show("name-fault", Boolean(text));
  byId("name-fault").textContent = text;
  byId("name").setAttribute("aria-invalid", String(Boolean(text)));
  if (text) byId("name").focus();
}

function showName() {
  const typed = byId("name").value.trim();
  const name = nameFrom(typed);
  const other = name && name !== typed;
  byId("name-hint").replaceChildren(...(other ? ["Its name will be ", element("strong", {}, name)] : ["Lowercase letters, digits and hyphens."]));
  byId("create").textContent = other ? `Create ${name}` : "Create dataset";
}

byId("name").addEventListener("input", showName);
byId("form").addEventListener("submit", create);
for (const way of ["from-folders", "by-hand"]) byId(way).addEventListener("click", () => byId("name").focus());
onClick("try-samples", trySamples);
open();
