// The page of one dataset: its labels and pictures; add to it, change it, and train a classifier.

import { newId, startTraining } from "./api.js";
import { chosenBackbone, offerBackbones } from "./backbone-choice.js";
import { onClick, showProblem } from "./buttons.js";
import { Camera, hasCamera } from "./camera.js";
import { confirmed } from "./confirm.js";
import { Changes } from "./dataset-changes.js";
import { showClassifier, showTraining } from "./dataset-classifier.js";
import { wireAdding } from "./dataset-adding.js";
import { DatasetImport } from "./dataset-import.js";
import { LabelList } from "./dataset-labels.js";
import { PicturePage, suggestionOf } from "./dataset-pictures.js";
import { leadOn, offerSuggestions, suggested } from "./dataset-suggestions.js";
import { awaitReport, showReport } from "./dataset-report.js";
import { Review } from "./dataset-review.js";
import { PictureViewer } from "./dataset-viewer.js";
import { addLabel, deleteDataset, readDataset } from "./datasets-api.js";
import { drawnSamples } from "./drawn-samples.js";
import { answer, byId, element, setText, show } from "./dom.js";
import { Filters } from "./filters.js";
import { bytes, number, plural } from "./format.js";
import { Grid } from "./grid.js";
import { askToDelete, askToRename } from "./label-dialogs.js";
import { offerLabels } from "./label-choices.js";
import { keyed } from "./label-keys.js";
import { Pagination } from "./pagination.js";
import { wireDragging } from "./picture-dragging.js";
import { contentOf, lacks, picturesOf } from "./training-advice.js";

//: Milliseconds between two reads of the dataset during an import.
const REFRESH_MS = 1500;
const { name, ...limits } = byId("dataset").dataset;

const pagination = new Pagination(turn);
const filters = new Filters(byId("filters"), () => pagination.restart(filters.address));
const page = new PicturePage(name, pagination, filters, onPage);
const changes = new Changes(name, { relabel: (labels) => page.relabel(labels), hide: (ids, hidden) => page.hide(ids, hidden), gone, reload: () => page.load(), changed, failed });
const grid = new Grid(byId("cards"), { enlarge: (id) => viewer.open(id), correct, undo, select: showBar });
const viewer = new PictureViewer(name, { pictures: () => page.shown, correct, choose, remove, undo, close: (id) => grid.focus(id), failed: showProblem });
const labels = new LabelList(chooseLabel);
const review = new Review(name, changes, { choose: chooseOrder, add: prepareAdding, knows: (label) => dataset.labels.some((known) => known.name === label), failed: showProblem });
const adding = new DatasetImport(name, {
  maxFileBytes: Number(limits.maxFileBytes), maxRequestBytes: Number(limits.maxRequestBytes), maxItems: Number(limits.maxItems), junk: new RegExp(limits.junk, "i"),
}, () => refreshSoon(true), decideImport);

const camera = new Camera((found, label) => adding.add(found, label, "").catch(showProblem));
const addingLabel = () => byId("adding-label").value.trim();

let dataset = { labels: [], pictures: 0, unlabelled: 0, revision: 0 };
let timer = 0;
let arrived = false; // whether an import has added pictures since the dataset was read
let suggesting = false;
let askedToSuggest = false; // whether this page has asked for suggestions, or got some
let suggestsForAll = false; // whether the report has seen all pictures without a label: its order lists no others
const newIds = () => ({ head: newId(), finetune: newId() });
let trainingIds = newIds();

async function refresh() {
  timer = 0;
  dataset = await readDataset(name);
  setText("facts", `${contentOf(dataset)}, ${bytes(dataset.bytes)}`);
  labels.show(dataset);
  show("content-columns", dataset.pictures > 0 || dataset.labels.length > 0);
  byId("filters").classList.toggle("bare", dataset.pictures === 0);
  show("keys", dataset.pictures > 0);
  show("download", dataset.pictures > 0);
  offerLabels(dataset.labels.map((label) => label.name));
  showTraining(dataset);
  showLabelTools();
}

/** Read the dataset again soon; and the pictures, if an import adds some. Those that were changed here stay where they are. */
function refreshSoon(imports = false) {
  arrived ||= imports;
  timer ||= setTimeout(() => refresh().then(afterRefresh).catch(showProblem), REFRESH_MS);
}

async function afterRefresh() {
  if ((arrived && page.hasRoom) || (page.isSpent && !changes.pending)) await page.load();
  arrived = false;
  showBatch();
  if (!askedToSuggest) await suggest(); // the first pictures have got their labels
}

async function open() {
  try {
    readAddress();
    await refresh();
    if (!dataset.pictures) byId("labels").open = true;
    const [, , report] = await Promise.all([page.load(), showClassifier(dataset), showReport(name, reviewed)]);
    suggestsForAll = !report.computing;
    askedToSuggest = suggestsForAll && canSuggest();
    await decideAsAsked();
    if (report.computing && dataset.pictures) await (canSuggest() ? suggest() : awaitReport(name, reviewed));
    if (location.hash === "#draw" && !dataset.pictures) await addSamples();
  } catch (problem) {
    showProblem(problem);
  }
}

/** Ask about the pictures under another label of the import whose page has led here. */
async function decideAsAsked() {
  const job = new URLSearchParams(location.hash.slice(1)).get("conflicts");
  if (!job) return;
  history.replaceState(history.state, "", location.pathname); // not again after a reload
  await decideImport(job);
}

/** Fill an empty dataset with pictures to play with, as the page before has promised. */
async function addSamples() {
  history.replaceState(history.state, "", location.pathname); // not again after a reload
  await adding.add(drawnSamples(), null, "");
}

/** Show another page of pictures, or other filters. */
async function turn() {
  readAddress();
  await page.load().catch(showProblem);
  answer(`${plural(page.shown.length, "picture")} on this page.`);
}

function readAddress() {
  filters.readAddress();
  labels.choose(filters.label, filters.query.state ?? "");
  show("show-all", filters.narrows);
  showLabelTools();
  resetAddingLabel();
}

function showLabelTools() {
  const chosen = filters.label;
  show("label-tools", dataset.labels.some((label) => label.name === chosen));
  setText("pictures-title", chosen || titleOf(filters.query));
}

/** Let pictures that are added get the chosen label, until another one is typed. */
function resetAddingLabel() {
  byId("adding-label").value = filters.label;
  showAddingLabel();
}

function showAddingLabel() {
  setText("pick-files-text", addingLabel() ? `Choose pictures of ${addingLabel()}` : "Choose pictures");
}

/** Add files; those that are in no folder get the label of the row on which they were dropped, or the typed one. */
async function add(found, row) {
  suggestsForAll = false;
  const added = adding.add(found, row, addingLabel());
  resetAddingLabel();
  await added;
  await refresh();
  await suggest();
}

const titleOf = ({ group, state }) => (group ? "Near copies" : state ? "Without a label" : "Pictures");

function chooseLabel(label, state, group = "") {
  const { elements } = byId("filters");
  if (state === "unlabelled" && suggestsForAll) elements.sort.value = "suggested";
  else if (elements.sort.value === "suggested") elements.sort.value = ""; // which lists only those without a label
  [elements.label.value, elements.state.value, elements.group.value] = [label, state, group];
  pagination.restart(filters.address);
}

function onPage(place) {
  grid.renew(place);
  viewer.show();
  showSuggestions();
  showBatch();
}

const showSuggestions = () => offerSuggestions(page.shown);
const showBatch = () => leadOn(filters.query.state === "unlabelled" ? page.shown : [], dataset.unlabelled);

/** Whether the report suggests labels for pictures without one. */
const canSuggest = () => dataset.unlabelled > 0 && !lacks(dataset.labels);

/** Show what is suggested for pictures without a label, as soon as that is computed. */
async function suggest() {
  if (suggesting || !canSuggest()) return;
  [suggesting, askedToSuggest] = [true, true];
  show("suggesting", true);
  try {
    await awaitReport(name, reviewed);
    suggestsForAll = true;
    await page.load();
  } finally {
    suggesting = false;
    show("suggesting", false);
  }
}

/** Give pictures the labels that are suggested for them. */
function accept(pictures) {
  const some = suggested(pictures);
  if (some.length) changes.relabelEach(some, suggestionOf, (count) => `${plural(count, "suggestion")} accepted.`).then(accepted).catch(failed);
}

/** Offer what is left. The pressed button may be gone, which had the focus. */
function accepted() {
  showSuggestions();
  keepFocus();
}

/** Keep the doubted labels of pictures. */
function keep(pictures) {
  const some = suggested(pictures).filter(({ label }) => label !== null);
  if (some.length) changes.keep(some, suggestionOf, (count) => `${plural(count, "doubted label")} kept.`).catch(failed);
}

function reviewed(what, id) {
  review.show(what, id);
}

function decideImport(job) {
  return review.decideImport(job).catch(showProblem);
}

/** Let pictures that are added next get this label. */
function prepareAdding(label) {
  chooseLabel(label, "");
  byId("pick-files").focus();
}

/** Show pictures in another order, or null for the same, with or without a label. */
function chooseOrder(sort, state, group = "") {
  if (sort !== null) byId("filters").elements.sort.value = sort;
  chooseLabel("", state, group);
}

/** Give pictures the label at this index. */
function correct(index, ids) {
  if (index < keyed(dataset.labels.length)) choose(dataset.labels[index].name, ids);
}

function choose(label, ids) {
  const pictures = ids.map((id) => page.pictures.get(id)).filter((picture) => picture && picture.label !== label);
  if (label === null) suggestsForAll = false;
  if (pictures.length) changes.relabel(pictures, label).catch(failed);
}

function remove(ids) {
  changes.remove(ids).catch(failed);
}

async function undo() {
  await changes.undo().catch(failed);
  keepFocus();
}

function keepFocus() {
  if (!document.activeElement?.checkVisibility() || document.activeElement === document.body) grid.focusStop();
}

/** Handle a change of pictures; an empty text means that a deletion can no longer be undone, null that the last text stays. */
function changed(text) {
  viewer.show();
  byId("viewer-undo").disabled = !changes.undoable;
  if (text !== null || !changes.undoable) show("undoable", Boolean(text) && changes.undoable);
  if (text) setText("undo-text", text);
  if (text && !changes.undoable) answer(text);
  showBar();
  refreshSoon();
  review.changed();
}

/** Show why a change was not made. An open dialog would hide that. */
function failed(problem) {
  refreshSoon(); // labels may have been changed elsewhere
  const dialog = document.querySelector("dialog.viewer[open]");
  if (!dialog) return showProblem(problem);
  dialog.addEventListener("close", () => showProblem(problem), { once: true });
  dialog.close();
}

/** Take pictures off the page that were deleted elsewhere; `left` others were changed. */
function gone(ids, left) {
  page.drop(ids);
  failed({ title: `${plural(ids.length, "picture")} ${ids.length === 1 ? "was" : "were"} deleted elsewhere.`, detail: left ? "The other pictures are changed." : "Nothing is changed." });
}

/** Show what was changed elsewhere, such as in another tab, while this page was not looked at. */
async function catchUp() {
  const { revision } = dataset;
  await refresh();
  if (dataset.revision !== revision) await page.load();
}

function showBar() {
  const { size } = grid.selected;
  show("selected", size > 0);
  setText("selected-count", `${number(size)} selected`);
  show("change-bar", size > 0 || !byId("undoable").hidden);
}

function selectNone() {
  grid.selectAll(false);
  keepFocus();
}

async function train(preset) {
  await changes.commit();
  const params = { preset, dataset: name, promote: "if_better", ...chosenBackbone() };
  const job = await startTraining(params, trainingIds[preset]);
  location.assign(`/result/${job.id}`);
}

async function removeDataset() {
  const text = [element("p", {}, `${plural(dataset.pictures, "picture")} and ${plural(dataset.labels.length, "label")} are deleted. This cannot be undone. A classifier that was trained from them stays.`)];
  if (!(await confirmed({ title: `Delete the dataset ${name}?`, text, yes: "Delete", no: "Keep it", danger: true }))) return;
  await deleteDataset(name);
  location.assign("/datasets");
}

async function rename() {
  const now = await askToRename(name, filters.label);
  if (now === null) return;
  await refresh();
  chooseLabel(now, "");
}

async function removeLabel() {
  const found = dataset.labels.find((label) => label.name === filters.label);
  if (!(await askToDelete(name, found.name, picturesOf(found)))) return;
  suggestsForAll = false;
  await refresh();
  chooseLabel("", "");
}

async function newLabel(event) {
  event.preventDefault();
  const wanted = byId("new-label").value.trim();
  if (!wanted) return;
  try {
    await addLabel(name, wanted);
    byId("new-label").value = "";
    await refresh();
    answer(`Label ${wanted} added.`);
  } catch (problem) {
    showProblem(problem);
  }
}

function pressed(key, id) {
  const ids = grid.selected.has(id) ? [...grid.selected] : [id];
  if (key === "Delete") remove(ids);
  if (key === ".") accept(ids.map((one) => page.pictures.get(one)));
  if (key === ",") keep(ids.map((one) => page.pictures.get(one)));
}

function wire() {
  onClick("train", () => train("head"));
  onClick("finetune", () => train("finetune"));
  onClick("delete", removeDataset);
  onClick("rename", rename);
  onClick("remove-label", removeLabel);
  byId("add-label").addEventListener("submit", newLabel);
  for (const id of ["show-all", "unfilter"]) byId(id).addEventListener("click", () => chooseLabel("", "") ?? filters.clear());
  byId("empty-add").addEventListener("click", () => byId("files").click());
  byId("previous").addEventListener("click", () => pagination.back());
  byId("next").addEventListener("click", () => page.next !== null && pagination.forward(page.next));
  byId("selected-apply").addEventListener("click", () => choose(byId("selected-label").value || null, [...grid.selected]) ?? selectNone());
  byId("selected-delete").addEventListener("click", () => remove([...grid.selected]));
  byId("selected-page").addEventListener("click", () => grid.selectAll(true));
  byId("selected-none").addEventListener("click", selectNone);
  byId("undo").addEventListener("click", undo);
  byId("cards").addEventListener("keydown", ({ key, target }) => pressed(key, target.closest("[data-key]")?.dataset.key));
  byId("cards").addEventListener("click", ({ target }) => target.closest(".suggestion") && accept([page.pictures.get(target.closest("[data-key]").dataset.key)]));
  byId("cards").addEventListener("click", ({ target }) => target.closest(".row-head button") && accept(page.waitingFor(target.closest(".row-head").dataset.suggested)));
  byId("batch-next").addEventListener("click", () => chooseLabel("", "unlabelled"));
  byId("suggested-accept").addEventListener("click", () => accept(page.shown.filter(({ label }) => label === null)));
  addEventListener("pagehide", () => changes.commit()); // a deletion that was not undone
  addEventListener("focus", () => catchUp().catch(() => {})); // the next change reports trouble
  addEventListener("pageshow", ({ persisted }) => persisted && (trainingIds = newIds()));
  offerBackbones(() => { trainingIds = newIds(); }).catch(() => {}); // without them, the usual one is used
  adding.offerResume().catch(() => {}); // tried again when files are added
  wireDragging(byId("cards"), () => grid.selected, (label, ids) => {
    choose(label, ids);
    selectNone();
  });
  show("use-camera", hasCamera());
  if (hasCamera()) show("pick-camera", false); // which takes one picture at a time
  byId("use-camera").addEventListener("click", () => camera.open(dataset.labels.map((label) => label.name), addingLabel()));
  wireAdding((found, row) => add(found, row).catch(showProblem));
  byId("adding-label").addEventListener("input", showAddingLabel);
  byId("labels").open = matchMedia("(min-width: 60rem)").matches;
  byId("viewer-undo").disabled = true;
}

wire();
open();
