// The page of a training: how far it is, its curves, and what came out.

import { cancelJob, deleteJob, finishJob, hasTrainWorker, readChampion, readModel, retryJob } from "./api.js";
import { does } from "./buttons.js";
import { confirmed } from "./confirm.js";
import { Curves, pointsOfRows } from "./curves.js";
import { byId, element, notice, show } from "./dom.js";
import { Follower } from "./follower.js";
import { showModel, showParams, showPromotion } from "./outcome.js";
import { Rows } from "./rows.js";
import { showTimes, showTraining } from "./training-status.js";

//: Milliseconds until what a training that is over leaves to be read is asked for again.
const RETRY_MS = 4000;
const { job: id } = byId("training").dataset;
const rows = new Rows(id);
const curves = new Curves();

const following = new Follower(id, onJob, trouble, ["finish", "cancel", "retry", "delete"]);

let job = null;
let finishing = false;

async function onJob(now) {
  if (!job) showParams(now.params);
  job = now;
  showAll();
  try {
    await Promise.all([fill(), lookForWorker()]);
    if (job.state === "succeeded") await showOutcome();
    following.answered();
  } catch (problem) {
    if (problem.name === "AbortError") return;
    trouble(problem);
    if (problem.passing && now.done) setTimeout(() => job === now && onJob(now), RETRY_MS); // no change will lead here
  }
}

async function fill() {
  await rows.refresh(following.signal);
  showAll();
  show("no-rows", rows.all.length === 0 && !job.done);
  await curves.show(pointsOfRows(rows.all, job.params.epochs));
}

function showAll() {
  finishing &&= job.state === "running";
  showTraining(job, rows.all, finishing);
  showButtons();
}

function showButtons() {
  show("finish", job.state === "running" && !finishing);
  show("cancel", !job.done && job.state !== "cancelling");
  show("retry", job.state === "failed" || job.state === "cancelled");
  show("another", job.done);
  show("delete", job.done);
  if (job.state !== "succeeded") show("outcome", false);
}

async function lookForWorker() {
  show("no-worker", job.state === "queued" && (await hasTrainWorker(following.signal)) === false);
}

async function showOutcome() {
  showPromotion(job);
  const [model, { champion }] = await Promise.all([readModel(job.model), readChampion()]);
  showModel(model, champion.version);
}

function trouble(problem) {
  following.lost = problem.passing ?? false;
  const more = problem.passing ? " This page tries again by itself; the training goes on meanwhile." : "";
  notice(problem.passing ? "The connection was lost." : (problem.title ?? "Something cannot be shown."), `${problem.message}${more}`);
}

/** Ask first, then do it. */
const asksFirst = (button, question, work) =>
  does(button, async () => {
    if (await confirmed(question())) await work();
  });

const paragraph = (text) => element("p", {}, text);

const finishQuestion = () => ({
  title: "Finish the training now?",
  text: [paragraph("The step in hand is the last. The best model so far is measured on the test images and kept.")],
  yes: "Finish now",
  no: "Go on training",
});

const cancelQuestion = () => ({
  title: "Cancel this training?",
  text: [paragraph("No model comes out of it. What it has learnt since is kept for a while: trying again goes on from the last checkpoint.")],
  yes: "Cancel the training",
  no: "Go on training",
  danger: true,
});

const deleteQuestion = () => ({
  title: "Delete this job?",
  text: [paragraph("Its curves and settings are removed from the service. That cannot be undone. A model that it made stays.")],
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

asksFirst("finish", finishQuestion, () => following.change(finish));
asksFirst("cancel", cancelQuestion, () => following.change(cancelJob));
asksFirst("delete", deleteQuestion, remove);
does("retry", () => following.change(retryJob));
setInterval(() => job && showTimes(job), 1000);
following.start();
