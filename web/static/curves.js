// Loss and accuracy of a training, as charts and as a table. A point is {at, loss, accuracy, val_loss, val_accuracy}
// with `at` in epochs; the validation figures are null within an epoch.

import { Chart } from "./charts.js";
import { byId, element, show } from "./dom.js";
import { precisePercent } from "./format.js";

const X = "Epoch";
//: Limits of the axis of an accuracy, with room for a mark at 100 %.
const SHARES = [0, 1.02];

/** Return the points of a training's metric rows. @param {object[]} rows @param {number} epochs planned */
export const pointsOfRows = (rows, epochs) => rows.map((row) => ({ ...row, at: (row.step / row.steps) * epochs }));

/** Return the points of a card's history. @param {object[]} history */
export const pointsOfHistory = (history) => history.map((row) => ({ ...row, at: row.epoch }));

/**
 * Return the finished epochs: the mean of each one's points, weighted by their steps, and the validation figures. Epoch
 * 0, before the first step, has only the latter.
 * @param {object[]} points in order
 */
export function epochsOf(points) {
  const epochs = new Map();
  let before = 0;
  for (const point of points) {
    const epoch = epochs.get(point.epoch) ?? { epoch: point.epoch, weight: 0, loss: 0, accuracy: 0 };
    const weight = point.at - before;
    before = point.at;
    epoch.weight += weight;
    epoch.loss += weight * point.loss;
    epoch.accuracy += weight * point.accuracy;
    Object.assign(epoch, { val_loss: point.val_loss, val_accuracy: point.val_accuracy });
    epochs.set(point.epoch, epoch);
  }
  return [...epochs.values()]
    .filter(({ val_loss: loss }) => typeof loss === "number")
    .map((epoch) => Object.assign(epoch, mean(epoch)));
}

const mean = ({ loss, accuracy, weight }) => (weight ? { loss: loss / weight, accuracy: accuracy / weight } : { loss: null, accuracy: null });

/** The two charts and the table of `_curves.html`. */
export class Curves {
  constructor() {
    this.charts = [
      ["loss", new Chart("chart-loss", { x: X, y: "", yFormat: ".3f", yLimits: [0] })],
      ["accuracy", new Chart("chart-accuracy", { x: X, y: "", yFormat: ".1~%", yLimits: SHARES })],
    ];
  }

  /** Show these points. Throw if the chart library cannot be loaded. @param {object[]} points */
  async show(points) {
    show("curves", points.length > 0);
    if (!points.length) return;
    byId("epochs").replaceChildren(...epochsOf(points).map(rowOf));
    await Promise.all(this.charts.map(([figure, chart]) => chart.show(linesOf(points, figure))));
  }
}

function linesOf(points, figure) {
  const learnt = points.filter((point) => typeof point[figure] === "number");
  const validated = points.filter((point) => typeof point[`val_${figure}`] === "number");
  const line = (name, kind, marks, from, field) => ({
    name, line: kind, marks, x: from.map(({ at }) => at), y: from.map((point) => point[field]),
  });
  return [
    line("Training", "first", learnt.length === 1, learnt, figure),
    line("Validation", "second", true, validated, `val_${figure}`),
  ];
}

function rowOf({ epoch, loss, accuracy, val_loss: valLoss, val_accuracy: valAccuracy }) {
  const cells = [loss?.toFixed(4) ?? "–", accuracy === null ? "–" : precisePercent(accuracy), valLoss.toFixed(4), precisePercent(valAccuracy)];
  return element("tr", {}, element("th", { scope: "row" }, String(epoch)), ...cells.map((text) => element("td", {}, text)));
}
