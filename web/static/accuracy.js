// How good a version is, in words. A percentage of few pictures is uncertain, so it comes with its 95 % interval.

import { inPercent, number, percent, plural } from "./format.js";

const whole = (share) => String(Math.round(share * 100));

/** Return the interval of a share: "88–96 %". @param {[number, number] | null | undefined} interval */
export const intervalText = (interval) => (interval ? inPercent(`${whole(interval[0])}–${whole(interval[1])}`) : "");

/** Return the accuracy with its interval: "93.1 % (88–96 %)". @param {object | null} metrics of a card */
export function accuracyText(metrics) {
  if (!metrics) return "not measured";
  const interval = intervalText(metrics.accuracy_interval);
  const exact = metrics.accuracy === 1 ? inPercent(100) : metrics.accuracy === 0 ? inPercent(0) : percent(metrics.accuracy);
  return interval ? `${exact} (${interval})` : exact;
}

/** Say how often a version is right, and how sure that is. @param {object} metrics of a card @param {number} tests number of test pictures */
export function oftenRight({ accuracy, accuracy_interval: interval }, tests) {
  const right = Math.round(accuracy * tests);
  const counted = `It is right for ${number(right)} of ${plural(tests, "test picture")}, which it has not learnt from.`;
  if (!interval) return counted;
  const few = interval[1] - interval[0] > 0.1 ? " More pictures make this surer." : "";
  return `${counted} For other pictures of this kind, expect ${intervalText(interval)}.${few}`;
}

/**
 * Return the classes, worst first: how often each is recognised, and what it is most often taken for.
 * @param {object} metrics of a card
 * @returns {{label: string, recall: number, interval: [number, number] | null, support: number, takenFor: {label: string, count: number} | null}[]}
 */
export function classesOf({ per_class: classes, confusion_matrix: matrix }) {
  const rows = classes.map(({ label, recall, recall_interval: interval, support }, index) => ({
    label, recall, interval: interval ?? null, support, takenFor: mostWrong(matrix[index], index, classes),
  }));
  return rows.filter(({ support }) => support).toSorted((one, other) => one.recall - other.recall);
}

function mostWrong(row, own, classes) {
  const wrong = row.map((count, index) => ({ label: classes[index].label, count: index === own ? 0 : count }));
  const most = wrong.reduce((best, each) => (each.count > best.count ? each : best), { label: "", count: 0 });
  return most.count ? most : null;
}
