// The page of a training: progress, curves and outcome.

import { cancelJob, deleteJob, finishJob, hasTrainWorker, readModel, readQueues, retryJob } from "./api.js";
import { onClick } from "./buttons.js";
import { confirmed } from "./confirm.js";
import { Curves, pointsOfRows } from "./curves.js";
import { findClassifier } from "./datasets-api.js";
import { byId, element, notice, show } from "./dom.js";
import { Follower } from "./follower.js";
import { isHead } from "./format.js";
import { showHead, showTested } from "./head-outcome.js";
import { showModel, showParams, showPromotion } from "./training-outcome.js";
import { Rows } from "./metric-rows.js";
import { showTimes, showTraining } from "./training-status.js";

//: Milliseconds before a failed read of a finished training is repeated.
const RETRY_MS = 4000;
const { job: id } = byId("training").dataset;
const rows = new Rows(id);
const curves = new Curves();

const follower = new Follower(id, onJob, trouble, ["finish", "cancel", "retry", "delete"]);

let job = null;
let finishing = false;
let reports = 0;

async function onJob(now) {
  if (!job) showKind(now);
  job = now;
  showAll();
  try {
    await Promise.all([fill(), checkWorker()]);
    if (job.state === "succeeded") await showOutcome();
    follower.answered();
  } catch (problem) {
    if (problem.name === "AbortError") return;
    trouble(problem);
    if (problem.retryable && now.done) setTimeout(() => job === now && onJob(now), RETRY_MS); // a finished job has no change that would trigger it
  }
}

function showKind(now) {
  showParams(now.params);
  if (!isHead(now)) return;
  byId("another").href = `/datasets/${now.params.dataset}`;
  byId("another").textContent = "Back to the dataset";
}

async function fill() {
  await rows.refresh(follower.signal);
  showAll();
  show("no-rows", rows.all.length === 0 && !job.done);
  if (!isHead(job)) await curves.show(pointsOfRows(rows.all, job.params.epochs));
}

function showAll() {
  finishing &&= job.state === "running";
  showTraining(job, rows.all, finishing, reports);
  showButtons();
}

function showButtons() {
  show("finish", job.state === "running" && !finishing && !isHead(job));
  show("cancel", !job.done && job.state !== "cancelling");
  show("retry", job.state === "failed" || job.state === "cancelled");
  show("another", job.done);
  show("delete", job.done);
  if (job.state !== "succeeded") show("outcome", false);
}

async function checkWorker() {
  const isQueued = job.state === "queued";
  show("no-worker", isQueued && (await hasTrainWorker(follower.signal)) === false);
  if (!isQueued) return;
  ({ reports } = await readQueues(follower.signal));
  showAll();
}

async function showOutcome() {
  showPromotion(job);
  const model = await readModel(job.model);
  if (model.dataset?.id) {
    showHead(job, model);
    await showTested(model);
  } else showModel(model, (await findClassifier(model.classifier))?.champion?.version ?? null);
}

function trouble(problem) {
  follower.lost = problem.retryable ?? false;
  const more = problem.retryable ? " Retrying automatically. The training continues meanwhile." : "";
  notice(problem.retryable ? "Connection lost." : (problem.title ?? "The page could not be loaded."), `${problem.message}${more}`);
}

/** Run `work` on a click, after confirmation. */
const onConfirmedClick = (button, question, work) =>
  onClick(button, async () => {
    if (await confirmed(question())) await work();
  });

const paragraph = (text) => element("p", {}, text);

const finishQuestion = () => ({
  title: "Finish the training now?",
  text: [paragraph("Training stops after the current step. The best model so far is measured on the test images and published.")],
  yes: "Finish now",
  no: "Keep training",
});

const cancelQuestion = () => ({
  title: "Cancel this training?",
  text: [paragraph(isHead(job) ? "No model is published. Try again starts it anew." : "No model is published. The last checkpoint is kept for a while, and Try again resumes from it.")],
  yes: "Cancel the training",
  no: "Keep training",
  danger: true,
});

const deleteQuestion = () => ({
  title: "Delete this job?",
  text: [paragraph("Its curves and settings are deleted. This cannot be undone. A published model stays.")],
  yes: "Delete",
  no: "Keep it",
  danger: true,
});

async function remove() {
  await deleteJob(id);
  location.assign("/jobs");
}

async function finish() {
  const now = await finishJob(id);
  finishing = true;
  return now;
}

onConfirmedClick("finish", finishQuestion, () => follower.change(finish));
onConfirmedClick("cancel", cancelQuestion, () => follower.change(cancelJob));
onConfirmedClick("delete", deleteQuestion, remove);
onClick("retry", () => follower.change(retryJob));
setInterval(() => job && showTimes(job), 1000);
follower.start();
