// The page that lists the model versions: compare, promote, roll back and import.

import { intervalText } from "./accuracy.js";
import { readChampion, readChampionOf, readModels } from "./api.js";
import { onClick, showProblem } from "./buttons.js";
import { announce, arrange, byId, element, icon, notice, setText, show } from "./dom.js";
import { compact, ago, bytes, moment, plural, precisePercent } from "./format.js";
import { wireImport } from "./importing.js";
import { compareAddress, modelAddress } from "./model-links.js";
import { promote } from "./promoting.js";
import { sleep } from "./watch.js";

const accuracyOf = ({ metrics }) => metrics?.accuracy ?? -1;
const by = (value) => (one, other) => value(one) - value(other);
const ORDERS = {
  newest: by((model) => -Date.parse(model.created_at)),
  accurate: by((model) => -accuracyOf(model)),
  fast: by((model) => model.latency.single_image_ms),
  small: by((model) => model.size.file_bytes),
  name: (one, other) => (one.version < other.version ? -1 : 1),
};
//: Milliseconds between two polls: versions may be published or promoted elsewhere.
const POLL_MS = 10000;

//: Classifier that is rolled back here.
const DEFAULT = "cifar10";

let models = [];
let alias = null;
let picked = [];

async function follow() {
  for (;;) {
    if (!document.hidden) await refresh();
    await sleep(POLL_MS);
  }
}

async function refresh() {
  try {
    const [versions, champion] = await Promise.all([readModels(), readChampion()]);
    if (byId("notice").dataset.lost) notice(null);
    delete byId("notice").dataset.lost;
    [models, alias] = [versions, champion];
    showAll();
  } catch (problem) {
    byId("notice").dataset.lost = "yes";
    notice(problem.title ?? "The page could not be loaded.", `${problem.detail ?? problem.message} Retrying automatically.`);
  }
}

function showAll() {
  const { version, since, previous } = alias.champion;
  byId("champion-facts").replaceChildren(
    element("span", {}, `${plural(models.length, "version")}. Unless they name another classifier, new jobs are served by `, element("strong", {}, version), ", promoted ",
      element("time", { datetime: since, title: moment(since) }, ago(since)), "."));
  show("roll-back", Boolean(previous) && previous !== version && models.some((model) => model.version === previous));
  show("versions", true);
  picked = picked.filter((one) => models.some((model) => model.version === one));
  showRows();
  showPicked();
}

/** Change only the rows that differ, to keep the focus. */
function showRows() {
  const old = new Map(Array.from(byId("rows").children, (row) => [row.dataset.version, row]));
  const sorted = models.toSorted(ORDERS[byId("order").value]);
  arrange(byId("rows"), sorted.map((model) => rowOf(model, old.get(model.version))));
}

function rowOf(model, old) {
  const row = old ?? newRow(model);
  row.querySelector("time").textContent = ago(model.created_at);
  const champion = String(model.classifier === DEFAULT ? model.version === alias.champion.version : model.champion);
  if (row.dataset.champion === champion) return row;
  row.dataset.champion = champion;
  row.querySelector("th").replaceChildren(...nameOf(model, champion === "true"));
  row.querySelector(".act").replaceChildren(champion === "true" ? "" : promoteButton(model));
  return row;
}

function newRow(model) {
  const row = element("tr", { "data-version": model.version });
  const cell = (name, ...content) => element("td", { class: name }, ...content);
  row.append(
    cell("pick", pickOf(model.version)),
    element("th", { scope: "row" }),
    cell("accuracy", ...measuredOf(model)),
    cell("size", bytes(model.size.file_bytes), element("small", {}, `${compact(model.size.parameters)} weights`)),
    cell("latency", `${model.latency.single_image_ms.toFixed(1)} ms`),
    cell("made", element("time", { datetime: model.created_at, title: moment(model.created_at) })),
    cell("act"),
  );
  return row;
}

function measuredOf({ metrics }) {
  if (!metrics) return ["not measured"];
  return [precisePercent(metrics.accuracy), element("small", {}, intervalText(metrics.accuracy_interval))];
}

function nameOf({ version, parent, classifier, owner }, champion) {
  const name = [element("a", { href: modelAddress(version) }, version)];
  if (champion) name.push(element("span", { class: "champion-mark" }, icon("done"), "Champion"));
  name.push(element("small", {}, `Classifier ${classifier}${owner === null ? "" : `, of ${owner}`}`));
  if (parent) name.push(element("small", {}, `continued from ${parent}`));
  return name;
}

function pickOf(version) {
  const box = element("input", { type: "checkbox", class: "form-check-input", "aria-label": `Compare ${version}`, autocomplete: "off" });
  box.checked = picked.includes(version);
  box.addEventListener("change", () => pick(version, box.checked));
  return box;
}

/** Select a version. Of three, the one selected first is dropped. */
function pick(version, chosen) {
  picked = [...picked.filter((one) => one !== version), ...(chosen ? [version] : [])].slice(-2);
  for (const row of byId("rows").children) row.querySelector("input").checked = picked.includes(row.dataset.version);
  showPicked();
}

function showPicked() {
  byId("compare").disabled = picked.length < 2;
  setText("picked", picked.length === 2 ? `${picked[0]} and ${picked[1]}` : picked.length ? "Select one more." : "Select two to compare them.");
}

function promoteButton(model) {
  const button = element("button", { type: "button", class: "btn btn-quiet", "aria-label": `Promote ${model.version}` }, "Promote");
  button.addEventListener("click", () => change(model, "promote").catch(showProblem));
  return button;
}

async function change(model, what) {
  notice(null);
  const found = model.classifier === DEFAULT ? alias : await readChampionOf(model.classifier);
  if (!found) return notice(`The classifier ${model.classifier} was deleted.`, "Train its dataset again to make a new one.");
  const { champion: now, etag } = found;
  const champion = models.find(({ version }) => version === now.version);
  const serving = await promote(model, champion ?? { version: now.version }, etag, what);
  if (!serving) return undefined;
  await refresh();
  keepFocus(model.version);
  announce(`${serving} now serves new jobs.`);
  return undefined;
}

/** If the pressed button is gone, focus the version's link. @param {string} version */
function keepFocus(version) {
  const lost = document.activeElement === document.body || !document.activeElement?.checkVisibility();
  if (lost) byId("rows").querySelector(`[data-version="${CSS.escape(version)}"] a`)?.focus();
}

byId("order").addEventListener("change", showRows);
byId("compare").addEventListener("click", () => location.assign(compareAddress(...picked)));
onClick("roll-back", () => change(models.find(({ version }) => version === alias.champion.previous), "roll back"));
wireImport(refresh);
follow();
