// The result page: follows the job, fills in its results, and does what the buttons say.

import { cancelJob, deleteJob, readLabels, retryJob, sealJob } from "./api.js";
import { does, refuse } from "./buttons.js";
import { Corrections } from "./corrections.js";
import { answer, byId, element, notice, setText, show } from "./dom.js";
import { Failures } from "./failures.js";
import { Filters } from "./filters.js";
import { Follower } from "./follower.js";
import { number, plural } from "./format.js";
import { Gallery } from "./gallery.js";
import { Grid } from "./grid.js";
import { Histogram, sum } from "./histogram.js";
import { keyOf } from "./label-keys.js";
import { closes } from "./menu.js";
import { showStatus } from "./status.js";
import { Trail } from "./trail.js";
import { Viewer } from "./viewer.js";

//: Milliseconds that the copy button says what it did.
const COPIED_MS = 2500;
//: Milliseconds between two looks at the counts of the classes while the job runs.
const COUNT_MS = 1500;
//: Milliseconds until what could not be read is asked for again; no change of a job that is over would lead to it.
const RETRY_MS = 4000;
const { job: id, labels: names } = byId("result").dataset;
const labels = JSON.parse(names);

const trail = new Trail(turn);
const filters = new Filters(byId("filters"), () => trail.restart(filters.address));
const gallery = new Gallery(id, trail, filters, onPage);
const histogram = new Histogram(labels, (label) => filters.choose(label === filters.label ? "" : label));
const failures = new Failures(id, refuse);
const corrections = new Corrections(id, onCorrected);
const grid = new Grid(byId("cards"), { enlarge, correct, undo, select });
const viewer = new Viewer(id, labels, { items: () => gallery.pictures, correct, undo, close });
const following = new Follower(id, onJob, trouble, ["seal", "cancel", "retry", "delete"]);

let job = null;
let counting = 0;
let asked = 0; // so many times for the counts
let retrying = 0;

function onJob(now) {
  const more = now.counts.succeeded !== job?.counts.succeeded;
  job = now;
  showStatus(job);
  showButtons();
  failures.update(job);
  if (more) countSoon();
  fill();
}

async function fill() {
  if (!job) return;
  try {
    await gallery.refresh(job);
    following.answered();
  } catch (problem) {
    failed(problem);
  }
}

/** Something could not be read. */
function failed(problem) {
  if (problem.passing) {
    trouble(problem);
    retrying ||= setTimeout(readAgain, RETRY_MS);
  } else refuse(problem);
}

function readAgain() {
  retrying = 0;
  count();
}

function trouble(problem) {
  following.lost = true;
  notice("The connection was lost.", `${problem.message} This page tries again by itself; the job goes on meanwhile.`);
}

function countSoon() {
  counting ||= setTimeout(count, gallery.counts.length && !job.done ? COUNT_MS : 0);
}

/** Read and show how many pictures each class has. */
async function count() {
  counting = 0;
  const mine = ++asked;
  try {
    const counts = await readLabels(id);
    if (mine < asked) return; // a newer answer has come or will
    gallery.counts = counts;
  } catch (problem) {
    failed(problem);
    return;
  }
  const corrected = sum(gallery.counts, "corrected");
  histogram.show(gallery.counts);
  show("corrected-figure", corrected > 0);
  setText("corrected-count", number(corrected));
  fill(); // the count of the chosen class
}

function showButtons() {
  const again = job.counts.failed + job.counts.cancelled;
  show("seal", job.state === "open" && job.counts.total > 0);
  show("cancel", !job.done && job.state !== "cancelling");
  show("retry", job.done && again > 0);
  show("delete", job.done);
}

/** Another page of results, or other ones. */
async function turn() {
  readAddress();
  gallery.reset();
  await fill();
  if (gallery.stale) return; // it could not be read, or is another again
  byId("results-title").scrollIntoView({ block: "nearest" });
  answer(gallery.count ? `${plural(gallery.count, "result")} on this page.` : "No result matches this choice.");
}

function readAddress() {
  filters.readAddress();
  histogram.choose(filters.label);
  show("show-all", filters.narrows);
}

/** The cards are others. */
function onPage(place) {
  grid.renew(place);
  viewer.show();
}

function enlarge(key) {
  gallery.hold(true);
  viewer.open(key);
}

/** The viewer was closed. */
function close(key) {
  gallery.hold(false);
  grid.focus(key);
  fill();
}

/** Give pictures of this page the class at this index. */
async function give(index, keys) {
  const items = keys.map((key) => gallery.items.get(key)).filter((item) => item);
  const current = () => items.map((item) => gallery.items.get(item.key) ?? item);
  if (index < labels.length && items.length) await corrections.give(current, labels[index]);
}

function correct(index, keys) {
  give(index, keys).catch(refuse);
}

async function undo() {
  await corrections.undo().catch(refuse);
  keepFocus();
}

/** What had the focus may be hidden now: then a picture gets it. */
function keepFocus() {
  if (!document.activeElement?.checkVisibility() || document.activeElement === document.body) grid.focusStop();
}

function onCorrected(items, text) {
  notice(null);
  gallery.update(items);
  viewer.show();
  viewer.allowUndo(corrections.undoable);
  setText("undo-text", text);
  show("undoable", corrections.undoable);
  if (!corrections.undoable) answer(text);
  showBar();
  count();
}

/** The selection has changed. */
function select() {
  showBar();
  answer(`${number(grid.selected.size)} selected`);
}

/** The bar below the cards, with what can be done to those that are selected. */
function showBar() {
  const { size } = grid.selected;
  show("selected", size > 0);
  setText("selected-count", `${number(size)} selected`);
  show("correct-bar", size > 0 || !byId("undoable").hidden);
}

async function correctSelected() {
  await give(byId("selected-label").selectedIndex, [...grid.selected]);
  selectNone();
}

function selectNone() {
  grid.selectAll(false);
  keepFocus();
}

async function retry() {
  try {
    await following.change(retryJob);
  } catch (problem) {
    if (problem.status !== 409) throw problem;
    notice("There is nothing to try again.", problem.detail, " A file that was refused when it was sent must be sent anew.");
    byId("notice").focus();
    return;
  }
  answer("The failed pictures are tried again.");
  trail.restart();
}

/** Browsers lend the clipboard to pages from HTTPS or this computer only. */
async function copy() {
  if (!navigator.clipboard) {
    notice("The address of this job is", location.href);
    return;
  }
  await navigator.clipboard.writeText(location.href);
  setText("copy-text", "Copied");
  answer("The address is copied.");
  setTimeout(() => setText("copy-text", "Copy address"), COPIED_MS);
}

function askToDelete() {
  const { total, succeeded } = job.counts;
  const corrected = sum(gallery.counts, "corrected");
  const what = [`${plural(total, "picture")}, as they were uploaded`, `the results, ${number(succeeded)} of them with a class`];
  if (corrected) what.push(`${plural(corrected, "correction")}: no model can learn from them any more`);
  byId("confirm-text").replaceChildren(...what.map((text) => element("li", {}, text)));
  byId("confirm").returnValue = "";
  byId("confirm").showModal();
}

async function remove() {
  await deleteJob(id);
  clearTimeout(counting); // there is nothing left to count
  location.assign("/jobs");
}

function wire() {
  does("seal", () => following.change(sealJob));
  does("cancel", () => following.change(cancelJob));
  does("retry", retry);
  does("retry-failed", retry);
  does("copy", copy);
  does("delete", askToDelete);
  byId("confirm").addEventListener("close", () => byId("confirm").returnValue === "delete" && remove().catch(refuse));
  for (const button of ["unfilter", "show-all"]) byId(button).addEventListener("click", () => filters.clear());
  byId("previous").addEventListener("click", () => trail.back());
  byId("next").addEventListener("click", () => gallery.more && trail.forward(gallery.cursor));
  does("selected-correct", correctSelected);
  byId("selected-page").addEventListener("click", () => grid.selectAll(true));
  byId("selected-none").addEventListener("click", selectNone);
  byId("undo").addEventListener("click", undo);
  closes(byId("downloads"));
}

function explainKeys() {
  const last = keyOf(Math.max(0, Math.min(labels.length, 35) - 1)).toUpperCase();
  byId("keys-labels").append(element("kbd", {}, keyOf(0)), " to ", element("kbd", {}, last));
  byId("classes").open = matchMedia("(min-width: 60rem)").matches;
  viewer.allowUndo(false);
}

explainKeys();
readAddress();
wire();
following.start();
