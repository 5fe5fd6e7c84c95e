// The page that compares two versions on the test images that both were measured on.

import { compareModels, readChampionOf, readModels, sentence } from "./api.js";
import { onClick } from "./buttons.js";
import { figuresOf } from "./card-facts.js";
import { announce, byId, element, notice, setText, show } from "./dom.js";
import { number, precisePercent, significant, signedPoints } from "./format.js";
import { compareAddress, modelLink } from "./model-links.js";
import { pair } from "./training-outcome.js";
import { promote } from "./promoting.js";

const VERDICTS = { better: "The second is better", worse: "The second is worse", inconclusive: "No significant difference" };
//: Width of the scale relative to the confidence interval.
const ROOM = 1.25;

const requested = (new URLSearchParams(location.search).get("versions") ?? "").split(",").filter(Boolean);
let models = [];
let alias = null;
let better = null;

async function open() {
  try {
    models = await readModels();
    alias = await readAlias();
    fillChoice();
    if (requested.length !== 2) return notice("Choose two versions.", "Then press Compare.");
    showComparison(await compareModels(...requested));
  } catch (problem) {
    if (problem.status === 409) return notice("These two versions cannot be compared.", sentence(problem.detail));
    notice(problem.title ?? "The page could not be loaded.", problem.detail ?? problem.message);
  }
  return undefined;
}

/** Return the champion of the classifier of the compared versions. */
const readAlias = async () => (await readChampionOf(modelOf(requested[0])?.classifier ?? "cifar10")) ?? { champion: { version: null }, etag: "" };

function fillChoice() {
  ["first", "second"].forEach((id, place) => {
    byId(id).replaceChildren(...models.map(({ version }) => element("option", { value: version }, labelOf(version))));
    byId(id).value = requested[place] ?? models[place]?.version ?? "";
  });
}

const labelOf = (version) => (version === alias.champion.version ? `${version} (champion)` : version);
const modelOf = (version) => models.find((model) => model.version === version);

function showComparison(found) {
  const [first, second] = found.versions;
  setText("verdict", VERDICTS[found.verdict]);
  setText("summary", sentence(found.summary));
  drawInterval(found);
  const figures = [
    ["Test images", number(found.images)], ["Only the first is right", number(found.only_first)],
    ["Only the second is right", number(found.only_second)], ["McNemar's p", probability(found.p_value)],
  ];
  byId("test").replaceChildren(...figures.map(([name, value]) => pair(name, value)));
  showBoth(first, second);
  show("others-hint", found.left_out.some(Boolean));
  byId("classes").replaceChildren(...found.per_class.map(classRow));
  better = { better: second, worse: first }[found.verdict] ?? null;
  showPromote();
  show("comparison", true);
  announce(`${VERDICTS[found.verdict]}.`);
}

const probability = (p) => (p < 0.0001 ? "<0.0001" : significant(p, 2));

function drawInterval({ difference, interval: [low, high] }) {
  const span = Math.max(Math.abs(low), Math.abs(high), Number.EPSILON) * ROOM;
  const place = (value) => String((value + span) / (2 * span));
  const box = byId("interval");
  for (const [name, value] of Object.entries({ low, high, at: difference })) box.style.setProperty(`--${name}`, place(value));
  box.setAttribute("aria-label", `Difference ${signedPoints(difference)} points, between ${signedPoints(low)} and ${signedPoints(high)}`);
  setText("interval-low", `${signedPoints(-span)} first better`);
  setText("interval-high", `second better ${signedPoints(span)}`);
}

function showBoth(first, second) {
  const cards = [modelOf(first), modelOf(second)];
  for (const [id, version] of [["first-name", first], ["second-name", second]]) {
    byId(id).replaceChildren(modelLink(version), ...(version === alias.champion.version ? [element("small", {}, "champion")] : []));
  }
  const [left, right] = cards.map(figuresOf);
  byId("both").replaceChildren(...left.map(([name, value], row) =>
    element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, value), element("td", {}, right[row][1]))));
}

function classRow({ label, first, second, difference }) {
  const cell = element("td", { class: difference < 0 ? "less" : difference > 0 ? "more-of" : "" }, signedPoints(difference));
  return element("tr", {}, element("th", { scope: "row" }, label), element("td", {}, precisePercent(first)), element("td", {}, precisePercent(second)), cell);
}

function showPromote() {
  show("promote", better !== null && better !== alias.champion.version);
  setText("promote-text", better === requested[0] ? "Promote the first" : "Promote the second");
}

async function takeOver() {
  const champion = modelOf(alias.champion.version) ?? alias.champion;
  const serving = await promote(modelOf(better), champion, alias.etag);
  if (!serving) return;
  alias = await readAlias();
  fillChoice();
  showBoth(...requested);
  showPromote();
  announce(`${serving} serves new jobs now.`);
}

byId("choice").addEventListener("submit", (event) => {
  event.preventDefault();
  location.assign(compareAddress(byId("first").value, byId("second").value));
});
onClick("promote", takeOver);
open();
