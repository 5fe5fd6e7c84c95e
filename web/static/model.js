// The page of one model version.

import { readChampionOf, readModel } from "./api.js";
import { Chart } from "./charts.js";
import { onClick } from "./buttons.js";
import { Curves, pointsOfHistory } from "./curves.js";
import { announce, byId, element, icon, notice, show } from "./dom.js";
import { ago, moment, number, precisePercent, significant } from "./format.js";
import { offerExports } from "./exporting.js";
import { correctionsOf, figuresOf, provenanceOf, viewsOf } from "./card-facts.js";
import { showMatrix } from "./matrix.js";
import { sheetExamples } from "./matrix-examples.js";
import { classifierLink, compareAddress, modelLink } from "./model-links.js";
import { pair, showParams } from "./training-outcome.js";
import { promote } from "./promoting.js";
import { cellPictures } from "./version-answers.js";

const { version } = byId("model").dataset;
let model = null;
let alias = null;

async function refresh() {
  model = await readModel(version);
  alias = await readChampionOf(model.classifier);
  showHead();
}

function showHead() {
  const champion = alias?.champion?.version ?? null;
  const serves = champion === version;
  byId("facts").replaceChildren(...factsOf(serves));
  show("promote", alias !== null && !serves);
  show("compare", champion !== null && !serves && model.metrics !== null);
  byId("compare").href = compareAddress(champion, version);
  show("go-on", !model.source && !model.backbone && !model.embedding);
  byId("go-on").href = `/train?preset=${encodeURIComponent(model.preset)}&base=${encodeURIComponent(version)}`;
}

function factsOf(serves) {
  const facts = [
    element("span", {}, model.source ? `imported from ${model.source}` : `preset ${model.preset}`),
    element("span", {}, "created ", element("time", { datetime: model.created_at, title: moment(model.created_at) }, ago(model.created_at))),
  ];
  facts.push(element("span", {}, "classifier ", alias ? classifierLink(model.classifier) : model.classifier, model.owner === null ? "" : `, of ${model.owner}`));
  if (model.parent) facts.push(element("span", {}, "continued from ", modelLink(model.parent)));
  if (serves) facts.unshift(element("span", { class: "champion-mark" }, icon("done"), "Champion: serves new jobs"));
  return facts;
}

function showCard() {
  byId("figures").replaceChildren(...figuresOf(model).map(([name, value]) => pair(name, value)));
  byId("figures-hint").textContent = viewsOf(model);
  showCorrections();
  byId("making").replaceChildren(...provenanceOf(model).map(([name, value]) => pair(name, value)));
  showParams(model.params);
  if (model.metrics) showMatrix(model, model.dataset?.id ? cellPictures(model) : sheetExamples(model));
  if (model.metrics) showClasses(model.metrics.per_class);
}

function showCorrections() {
  const pairs = correctionsOf(model);
  show("corrections-section", pairs.length > 0);
  byId("corrections").replaceChildren(...pairs.map(([name, value]) => pair(name, value)));
  if (model.corrections?.champion) byId("corrections-champion").replaceChildren("The champion at that time was ", modelLink(model.corrections.champion), ".");
}

function showClasses(classes) {
  show("classes-section", true);
  byId("classes").replaceChildren(...classes.map(({ label, recall, precision, f1, support }) =>
    tableRow(label, precisePercent(recall), precisePercent(precision), precisePercent(f1), number(support))));
}

async function showCharts() {
  show("curves-section", model.history.length > 0);
  show("calibration-section", Boolean(model.calibration));
  await Promise.all([new Curves().show(pointsOfHistory(model.history)), model.calibration && showCalibration(model.calibration)]);
}

function showCalibration({ temperature, error_before: before, error_after: after, reliability }) {
  const filled = reliability.filter(({ count }) => count);
  const figures = [["Error before", precisePercent(before)], ["Error after", precisePercent(after)], ["Temperature", significant(temperature)]];
  byId("calibration").replaceChildren(...figures.map(([name, value]) => pair(name, value)));
  byId("reliability").replaceChildren(...filled.map(({ upper, count, confidence, accuracy }) =>
    tableRow(precisePercent(upper), number(count), precisePercent(confidence), precisePercent(accuracy))));
  const axes = { x: "Confidence", y: "", yFormat: ".0%", xFormat: ".0%", xRange: [0, 1], yRange: [0, 1] };
  return new Chart("chart-reliability", axes).show([
    { name: "", line: "ideal", marks: false, x: [0, 1], y: [0, 1] },
    { name: "Accuracy", line: "first", marks: true, x: filled.map(({ confidence }) => confidence), y: filled.map(({ accuracy }) => accuracy) },
  ]);
}

function tableRow(head, ...cells) {
  return element("tr", {}, element("th", { scope: "row" }, head), ...cells.map((text) => element("td", {}, text)));
}

async function takeOver() {
  const champion = await readModel(alias.champion.version).catch(() => alias.champion);
  const serving = await promote(model, champion, alias.etag);
  if (!serving) return;
  await refresh();
  announce(`${serving} now serves new jobs.`);
}

async function open() {
  try {
    await refresh();
    showCard();
    await showCharts();
  } catch (problem) {
    notice(problem.title ?? "The page could not be loaded.", problem.detail ?? problem.message);
  }
}

onClick("promote", takeOver);
offerExports(version);
open();
