// The page of one classifier: its versions, which of them is in use, compare, promote, roll back, delete.

import { accuracyText } from "./accuracy.js";
import { readChampionOf, readModelsOf } from "./api.js";
import { onClick, showProblem } from "./buttons.js";
import { confirmed } from "./confirm.js";
import { deleteClassifier, readDatasets } from "./datasets-api.js";
import { announce, byId, element, icon, show } from "./dom.js";
import { ago, moment, plural } from "./format.js";
import { compareAddress, modelAddress } from "./model-links.js";
import { promote } from "./promoting.js";

const { name } = byId("classifier").dataset;
let found = null;
let models = [];

async function refresh() {
  [found, models] = await Promise.all([readChampionOf(name), readModelsOf(name)]);
  const { champion, labels, owner } = found;
  byId("facts").replaceChildren(...factsOf(champion, labels, owner));
  show("classify", champion !== null);
  show("roll-back", versionOf(champion?.previous) !== null && champion.previous !== champion.version);
  byId("rows").replaceChildren(...models.map((model) => rowOf(model, versionOf(champion?.version))));
  show("versions", models.length > 0);
  show("others-hint", new Set(models.filter(({ metrics }) => metrics).map(({ dataset }) => dataset?.digest)).size > 1);
}

const versionOf = (version) => models.find((model) => model.version === version) ?? null;

function factsOf(champion, labels, owner) {
  const whose = owner === null ? "ships with Darkroom" : "your own";
  if (!champion) return [element("span", {}, `Classifier, ${whose}`), element("span", {}, "no version is in use yet")];
  const since = element("time", { datetime: champion.since, title: moment(champion.since) }, ago(champion.since));
  return [element("span", {}, `Classifier, ${whose}`), element("span", {}, plural(labels.length, "label")),
    element("span", {}, `in use: ${champion.version}, promoted `, since)];
}

function rowOf(model, champion) {
  const { version, metrics, dataset, created_at: made } = model;
  const serves = version === champion?.version;
  const head = [element("a", { href: modelAddress(version) }, version), ...(serves ? [element("span", { class: "champion-mark" }, icon("done"), "In use")] : [])];
  const when = element("time", { datetime: made, title: moment(made) }, ago(made));
  return element("tr", {}, element("th", { scope: "row" }, ...head),
    element("td", { class: "accuracy" }, accuracyText(metrics)), element("td", { class: "size" }, metrics && dataset ? plural(dataset.test, "test picture") : "–"),
    element("td", { class: "made" }, when), element("td", { class: "act" }, ...(serves ? [] : [element("div", { class: "button-row" }, ...actsOf(model, champion))])));
}

function actsOf(model, champion) {
  const button = element("button", { type: "button", class: "btn btn-quiet", "aria-label": `Use ${model.version}` }, "Use it");
  button.addEventListener("click", () => change(model, "promote").catch(showProblem));
  if (!areComparable(model, champion)) return [button];
  return [element("a", { class: "btn btn-quiet", href: compareAddress(champion.version, model.version), "aria-label": `Compare ${model.version} with the one in use` }, "Compare"), button];
}

/** Whether two versions may have been measured on the same test pictures. @param {object} model @param {object | null} champion */
const areComparable = (model, champion) =>
  Boolean(champion?.metrics && model.metrics && (isEqual(champion, model, "digest") || isEqual(champion, model, "id")));

const isEqual = (one, other, field) => one.dataset?.[field] && one.dataset[field] === other.dataset?.[field];

async function change(model, what) {
  const before = versionOf(found.champion?.version) ?? { version: "no version" };
  const serving = await promote(model, before, found.etag, what);
  if (!serving) return;
  await refresh();
  byId("rows").querySelector("a").focus();
  announce(`${serving} answers now.`);
}

/** Offer the dataset that it was trained from, if it is there. */
async function offerDataset() {
  const names = new Set((await readDatasets()).map((dataset) => dataset.name));
  const dataset = models.find((model) => model.dataset?.id)?.dataset.name;
  show("open-dataset", names.has(dataset));
  byId("open-dataset").href = `/datasets/${dataset}`;
}

async function remove() {
  const text = [element("p", {}, `No job can use ${name} by its name any more. Its ${plural(models.length, "version")} and its dataset stay; the next training makes it anew.`)];
  if (!(await confirmed({ title: `Delete the classifier ${name}?`, text, yes: "Delete", no: "Keep it", danger: true }))) return;
  await deleteClassifier(name);
  location.assign("/models");
}

async function open() {
  try {
    await refresh();
    await offerDataset();
  } catch (problem) {
    showProblem(problem);
  }
}

onClick("roll-back", () => change(versionOf(found.champion.previous), "roll back"));
if (byId("delete")) onClick("delete", remove);
open();
