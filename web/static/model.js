// The page of one version: its card, and what may be done with it.

import { readChampion, readModel } from "./api.js";
import { Chart } from "./charts.js";
import { does } from "./buttons.js";
import { Curves, pointsOfHistory } from "./curves.js";
import { announce, byId, element, icon, notice, show } from "./dom.js";
import { ago, moment, number, points, short } from "./format.js";
import { correctionsOf, figuresOf, makingOf, viewsOf } from "./card-facts.js";
import { showMatrix } from "./matrix.js";
import { compareAddress, modelLink } from "./model-links.js";
import { pair, showParams } from "./outcome.js";
import { promote } from "./promoting.js";

const { version } = byId("model").dataset;
let model = null;
let alias = null;

async function look() {
  [model, alias] = await Promise.all([readModel(version), readChampion()]);
  showHead();
}

function showHead() {
  const champion = alias.champion.version;
  const serves = champion === version;
  const facts = [
    element("span", {}, model.source ? `imported from ${model.source}` : `preset ${model.preset}`),
    element("span", {}, "made ", element("time", { datetime: model.created_at, title: moment(model.created_at) }, ago(model.created_at))),
  ];
  if (model.parent) facts.push(element("span", {}, "went on from ", modelLink(model.parent)));
  if (serves) facts.unshift(element("span", { class: "champion-mark" }, icon("done"), "Champion: it serves new jobs"));
  byId("facts").replaceChildren(...facts);
  show("promote", !serves);
  show("compare", !serves && model.metrics !== null);
  byId("compare").href = compareAddress(champion, version);
  show("go-on", !model.source);
  byId("go-on").href = `/train?preset=${encodeURIComponent(model.preset)}&base=${encodeURIComponent(version)}`;
}

function showCard() {
  byId("figures").replaceChildren(...figuresOf(model).map(([name, value]) => pair(name, value)));
  byId("figures-hint").textContent = viewsOf(model);
  showCorrections();
  byId("making").replaceChildren(...makingOf(model).map(([name, value]) => pair(name, value)));
  showParams(model.params);
  if (model.metrics) showMatrix(model);
  if (model.metrics) showClasses(model.metrics.per_class);
}

function showCorrections() {
  const pairs = correctionsOf(model);
  show("corrections-section", pairs.length > 0);
  byId("corrections").replaceChildren(...pairs.map(([name, value]) => pair(name, value)));
  if (model.corrections?.champion) byId("corrections-champion").replaceChildren("The champion then was ", modelLink(model.corrections.champion), ".");
}

function showClasses(classes) {
  show("classes-section", true);
  byId("classes").replaceChildren(...classes.map(({ label, recall, precision, f1, support }) =>
    tableRow(label, points(recall), points(precision), points(f1), number(support))));
}

async function showCharts() {
  show("curves-section", model.history.length > 0);
  show("calibration-section", Boolean(model.calibration));
  await Promise.all([new Curves().show(pointsOfHistory(model.history)), model.calibration && showCalibration(model.calibration)]);
}

function showCalibration({ temperature, error_before: before, error_after: after, reliability }) {
  const filled = reliability.filter(({ count }) => count);
  const figures = [["Error before", points(before)], ["Error after", points(after)], ["Temperature", short(temperature)]];
  byId("calibration").replaceChildren(...figures.map(([name, value]) => pair(name, value)));
  byId("reliability").replaceChildren(...filled.map(({ upper, count, confidence, accuracy }) =>
    tableRow(points(upper), number(count), points(confidence), points(accuracy))));
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
  await look();
  announce(`${serving} serves new jobs now.`);
}

async function open() {
  try {
    await look();
    showCard();
    await showCharts();
  } catch (problem) {
    notice(problem.title ?? "Something cannot be shown.", problem.detail ?? problem.message);
  }
}

does("promote", takeOver);
open();
