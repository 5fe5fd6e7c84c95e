// A slider: how many test pictures get an answer, and how many of these are right, if an answer needs a certain score.

import { readThresholds } from "./api.js";
import { byId, setText, show } from "./dom.js";
import { inPercent, number, percent } from "./format.js";

/** Show the slider at the version's own score. @param {string} version */
export async function showThreshold(version) {
  const { data, score, pictures } = await readThresholds(version);
  const slider = byId("threshold");
  const own = Math.max(0, data.findIndex((counts) => counts.score === score));
  const update = () => showCounts(data[Number(slider.value)], pictures, score);
  slider.max = data.length - 1;
  slider.value = own;
  slider.addEventListener("input", update);
  byId("threshold-reset").addEventListener("click", () => {
    slider.value = own;
    update();
    slider.focus();
  });
  update();
  show("threshold-section", true);
}

function showCounts(counts, pictures, own) {
  const { score, answered, right } = counts;
  setText("threshold-score", scoreText(score));
  setText("threshold-answered", shareText(answered, pictures));
  setText("threshold-right", answered ? shareText(right, answered) : "–");
  setText("threshold-unknown", shareText(pictures - answered, pictures));
  show("threshold-reset", score !== (own ?? 0));
  byId("threshold").setAttribute("aria-valuetext", thresholdText(counts, pictures));
}

const scoreText = (score) => inPercent((score * 100).toFixed(Number.isInteger(Math.round(score * 1e6) / 1e4) ? 0 : 1));
const shareText = (part, whole) => `${number(part)} of ${number(whole)} (${part === whole ? inPercent(100) : part ? percent(part / whole) : inPercent(0)})`;

/** Say what a threshold does. @param {{score: number, answered: number, right: number}} counts @param {number} pictures */
export const thresholdText = ({ score, answered, right }, pictures) =>
  `From ${scoreText(score)} on: ${shareText(answered, pictures)} get an answer${answered ? `, and ${shareText(right, answered)} of these are right` : ""}.`;
