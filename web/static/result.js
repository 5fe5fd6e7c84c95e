// The result page: follows the job, shows its results and handles the buttons.

import { cancelJob, deleteJob, readLabels, retryJob, sealJob } from "./api.js";
import { onClick, showProblem } from "./buttons.js";
import { copyText } from "./copying.js";
import { Corrections } from "./corrections.js";
import { answer, byId, element, notice, setText, show } from "./dom.js";
import { Failures } from "./failures.js";
import { Filters } from "./filters.js";
import { Follower } from "./follower.js";
import { number, plural } from "./format.js";
import { Gallery } from "./gallery.js";
import { Grid } from "./grid.js";
import { Histogram, sum, UNKNOWN } from "./histogram.js";
import { indexOf, keyed, keyOf } from "./label-keys.js";
import { wireMenu } from "./menu.js";
import { Skipped } from "./skipped.js";
import { showStatus } from "./status.js";
import { Pagination } from "./pagination.js";
import { Taking } from "./taking.js";
import { Viewer } from "./viewer.js";

//: Milliseconds between two polls of the class counts while the job runs.
const COUNT_MS = 1500;
//: Milliseconds before a failed read is repeated. A finished job has no change that would trigger it.
const RETRY_MS = 4000;
const { job: id, labels: names } = byId("result").dataset;
const labels = JSON.parse(names);

const pagination = new Pagination(turn);
const filters = new Filters(byId("filters"), () => pagination.restart(filters.address));
const gallery = new Gallery(id, pagination, filters, onPage);
const histogram = new Histogram(labels, (row) => chooseRow(row === chosenRow() ? "" : row));
const failures = new Failures(id, showProblem);
const skipped = new Skipped(id, showProblem);
const taking = new Taking(id);
const corrections = new Corrections(id, onCorrected);
const grid = new Grid(byId("cards"), { enlarge, correct: (index, keys) => (index < keyed(labels.length) ? correct(index, keys) : explainKey(index)), undo, select });
const viewer = new Viewer(id, labels, { items: () => gallery.pictures, correct, undo, close });
const follower = new Follower(id, onJob, trouble, ["seal", "cancel", "retry", "delete"]);

let job = null;
let counting = 0;
let requested = 0; // number of requests for the counts
let retrying = 0;

function onJob(now) {
  const more = now.counts.succeeded !== job?.counts.succeeded;
  job = now;
  showStatus(job);
  showButtons();
  failures.update(job);
  skipped.update(job);
  if (more) countSoon();
  fill();
}

async function fill() {
  if (!job) return;
  try {
    await gallery.refresh(job);
    follower.answered();
  } catch (problem) {
    handleFailure(problem);
  }
}

/** Handle a failed read. */
function handleFailure(problem) {
  if (problem.retryable) {
    trouble(problem);
    retrying ||= setTimeout(readAgain, RETRY_MS);
  } else showProblem(problem);
}

function readAgain() {
  retrying = 0;
  count();
}

function trouble(problem) {
  follower.lost = true;
  notice("Connection lost.", `${problem.message} Retrying automatically. The job continues meanwhile.`);
}

function countSoon() {
  counting ||= setTimeout(count, gallery.counts.length && !job.done ? COUNT_MS : 0);
}

/** Load and show the number of pictures in each class. */
async function count() {
  counting = 0;
  const mine = ++requested;
  try {
    const { data, unknown } = await readLabels(id);
    if (mine < requested) return; // a newer request supersedes this one
    gallery.counts = data;
    histogram.show(data, unknown);
  } catch (problem) {
    handleFailure(problem);
    return;
  }
  const corrected = sum(gallery.counts, "corrected");
  show("corrected-figure", corrected > 0);
  setText("corrected-count", number(corrected));
  taking.offer(corrected, job.classifier).catch(showProblem);
  fill(); // for the count of the chosen class
}

function showButtons() {
  const again = job.counts.failed + job.counts.cancelled;
  show("seal", job.state === "open" && job.counts.total > 0);
  show("cancel", !job.done && job.state !== "cancelling");
  show("retry", job.done && again > 0);
  show("delete", job.done);
}

/** Show another page of results, or other filters. */
async function turn() {
  readAddress();
  gallery.reset();
  await fill();
  if (gallery.stale) return; // it failed, or another page was requested
  byId("results-title").scrollIntoView({ block: "nearest" });
  answer(gallery.count ? `${plural(gallery.count, "result")} on this page.` : "No results match the filters.");
}

function readAddress() {
  filters.readAddress();
  histogram.choose(chosenRow());
  show("show-all", filters.narrows);
}

/** Return the chosen row of the classes; "" for all. */
const chosenRow = () => filters.label || (filters.query.unknown === "true" ? UNKNOWN : "");

/** Show one class, the unknown pictures, or all. */
function chooseRow(row) {
  byId("unknown").value = row === UNKNOWN ? "true" : "";
  filters.choose(row === UNKNOWN ? "" : row);
}

/** Handle new cards. */
function onPage(place) {
  grid.renew(place);
  viewer.show();
}

function enlarge(key) {
  gallery.hold(true);
  viewer.open(key);
}

/** Handle the closed viewer. */
function close(key) {
  gallery.hold(false);
  grid.focus(key);
  fill();
}

/** Set the label of pictures on this page. */
async function setLabel(index, keys) {
  const items = keys.map((key) => gallery.items.get(key)).filter((item) => item);
  const current = () => items.map((item) => gallery.items.get(item.key) ?? item);
  if (index < labels.length && items.length) await corrections.correct(current, labels[index]);
}

/** Handle a key or a button of the class at this index. */
function correct(index, keys) {
  setLabel(index, keys).catch(showProblem);
}

/** Say how a picture is corrected, after the key of a class that could not be meant for one. @param {number} index of the class */
function explainKey(index) {
  if (index < 0 || index >= labels.length) return;
  const some = keyed(labels.length) > 0;
  setText("keys-hint", some ? "Enlarge a picture, or focus it with Tab: then the key of a class corrects it." : `${number(labels.length)} classes are too many for keys. Enlarge a picture to choose its class.`);
  show("keys-hint", true);
  showBar();
}

async function undo() {
  await corrections.undo().catch(showProblem);
  keepFocus();
}

/** If the focused element is hidden now, focus a picture. */
function keepFocus() {
  if (!document.activeElement?.checkVisibility() || document.activeElement === document.body) grid.focusStop();
}

function onCorrected(items, text) {
  notice(null);
  show("keys-hint", false);
  gallery.update(items);
  viewer.show();
  viewer.allowUndo(corrections.undoable);
  setText("undo-text", text);
  show("undoable", corrections.undoable);
  if (!corrections.undoable) answer(text);
  showBar();
  count();
}

/** Handle a changed selection. */
function select() {
  showBar();
  answer(`${number(grid.selected.size)} selected`);
}

/** Show or hide the bar that corrects the selected pictures. */
function showBar() {
  const { size } = grid.selected;
  show("selected", size > 0);
  setText("selected-count", `${number(size)} selected`);
  show("correct-bar", size > 0 || !byId("undoable").hidden || !byId("keys-hint").hidden);
}

async function correctSelected() {
  await setLabel(byId("selected-label").selectedIndex, [...grid.selected]);
  selectNone();
}

function selectNone() {
  grid.selectAll(false);
  keepFocus();
}

async function retry() {
  try {
    await follower.change(retryJob);
  } catch (problem) {
    if (problem.status !== 409) throw problem;
    notice("There is nothing to retry.", problem.detail, " Upload files again that were rejected on arrival.");
    byId("notice").focus();
    return;
  }
  answer("Retrying the failed pictures.");
  pagination.restart();
}

async function copy() {
  if (await copyText(location.href, "Address of this job", "copy-text")) answer("Address copied.");
}

function askToDelete() {
  const { total, succeeded } = job.counts;
  const corrected = sum(gallery.counts, "corrected");
  const what = [plural(total, "uploaded picture"), `the results, of which ${number(succeeded)} have a label`];
  if (corrected) what.push(`${plural(corrected, "correction")}, which can no longer be used for training`);
  byId("confirm-text").replaceChildren(...what.map((text) => element("li", {}, text)));
  byId("confirm").returnValue = "";
  byId("confirm").showModal();
}

async function remove() {
  await deleteJob(id);
  clearTimeout(counting); // the job is gone
  location.assign("/jobs");
}

function wire() {
  onClick("seal", () => follower.change(sealJob));
  onClick("cancel", () => follower.change(cancelJob));
  onClick("retry", retry);
  onClick("retry-failed", retry);
  onClick("copy", copy);
  onClick("delete", askToDelete);
  byId("confirm").addEventListener("close", () => byId("confirm").returnValue === "delete" && remove().catch(showProblem));
  for (const button of ["unfilter", "show-all"]) byId(button).addEventListener("click", () => filters.clear());
  byId("previous").addEventListener("click", () => pagination.back());
  byId("next").addEventListener("click", () => gallery.more && pagination.forward(gallery.cursor));
  onClick("selected-correct", correctSelected);
  byId("selected-page").addEventListener("click", () => grid.selectAll(true));
  byId("selected-none").addEventListener("click", selectNone);
  byId("undo").addEventListener("click", undo);
  wireMenu(byId("downloads"));
  document.addEventListener("keydown", (event) => event.target === document.body && explainKey(indexOf(event)));
  byId("cards").addEventListener("keydown", ({ key }) => key === "?" && chooseRow(chosenRow() === UNKNOWN ? "" : UNKNOWN));
}

function explainKeys() {
  byId("keys-labels").append(element("kbd", {}, keyOf(0)), " to ", element("kbd", {}, keyOf(labels.length - 1).toUpperCase()));
  byId("keys-labels").parentElement.hidden = !keyed(labels.length);
  byId("classes").open = matchMedia("(min-width: 60rem)").matches;
  viewer.allowUndo(false);
}

explainKeys();
readAddress();
wire();
follower.start();
