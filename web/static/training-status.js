// Shows a training's state, progress, speed and times.

import { announce, byId, element, icon, setText, show } from "./dom.js";
import { ago, duration, isHead, moment, number, plural, precisePercent, rate, stateOf, titleOf, wholePercent } from "./format.js";

//: What to do after a failed training, by error code.
const ADVICE = {
  diverged: "Start another training with a smaller learning rate or a larger batch.",
  dataset: "Set DARKROOM_CIFAR10 of the training worker to an .npz file with the dataset. Then try again.",
  too_few_corrections: "Correct more pictures on their result pages, or train on CIFAR-10 only.",
  too_few_pictures: "Add pictures to the dataset. Then train again.",
  dataset_deleted: "There is nothing left to train on.",
  storage_full: "Free disk space on the server. Then try again: the training resumes from its last checkpoint.",
  crashed: "It may have run out of memory: try a smaller batch or network. See also the log of the training worker.",
};

let known = { at: 0, eta: null };

/** Show the job with its rows so far. @param {object} job @param {object[]} rows @param {boolean} finishing whether it was asked to finish early @param {number} reports that are computed first */
export function showTraining(job, rows, finishing, reports) {
  const row = rows.at(-1);
  const share = wholePercent(job.progress);
  document.title = `${job.done ? "" : `${share} · `}${titleOf(job)} · Darkroom`;
  setText("title", titleOf(job));
  showFacts(job);
  showState(job, finishing ? "Finishing after the current step" : share, reports);
  showPlace(job, row, rows);
  if (known.eta !== job.eta_s) known = { at: performance.now(), eta: job.eta_s };
  showTimes(job);
  announce(describe(job, row));
}

function showFacts(job) {
  const created = element("time", { datetime: job.created_at, title: moment(job.created_at) }, ago(job.created_at));
  const facts = [element("span", { title: job.id }, `Job ${job.id.slice(0, 8)}`), element("span", {}, "submitted ", created)];
  if (job.expires_at) facts.push(element("span", {}, `kept until ${moment(job.expires_at)}`));
  byId("facts").replaceChildren(...facts);
}

function showState(job, doing, reports) {
  const { icon: name, text } = stateOf(job.state);
  const state = byId("state");
  if (state.dataset.state !== job.state) {
    state.dataset.state = job.state;
    state.replaceChildren(icon(name), text);
  }
  setText("note", noteOf(job, doing, reports));
  const bar = byId("progress");
  bar.value = job.progress;
  bar.dataset.state = job.state;
  bar.setAttribute("aria-valuetext", wholePercent(job.progress));
}

/** Return the note beside the state. @param {object} job @param {string} doing the note of a running training @param {number} reports that are computed first */
export function noteOf(job, doing, reports = 0) {
  if (job.error) return [job.error.detail, ADVICE[job.error.code]].filter(Boolean).join(" ");
  if (job.state === "queued") return waitsFor(job.queue_position, reports);
  if (job.state === "cancelling") return "Finishing the current step first.";
  if (job.done) return "";
  return job.progress < 1 ? doing : "Measuring and publishing the model";
}

function waitsFor(trainings, reports) {
  if (trainings) return `${plural(trainings, "training")} ahead`;
  return reports ? "Next, once the report on a dataset is computed, which takes about as long as a training" : "Next in the queue";
}

function showPlace(job, row, rows) {
  const { epochs } = job.params;
  for (const id of ["epoch-figure", "step-figure", "rate-figure"]) show(id, !isHead(job));
  show("accuracy-figure", !isHead(job) || !job.done); // then the outcome says it, about test pictures
  setText("epoch", row ? `${number(row.epoch)} of ${number(epochs)}` : `0 of ${number(epochs)}`);
  setText("step", row ? `${number(row.step)} of ${number(row.steps)}` : "–");
  setText("rate", row ? rate(row.images_per_s) : "–");
  const best = Math.max(...rows.map((one) => one.val_accuracy ?? -1));
  setText("accuracy", best >= 0 ? precisePercent(best) : "–");
}

/** Update the times, which change between two polls. @param {object} job */
export function showTimes(job) {
  const end = job.finished_at ? Date.parse(job.finished_at) : Date.now();
  const elapsed = job.started_at && (job.done || job.state === "running") ? Math.max(0, (end - Date.parse(job.started_at)) / 1000) : null;
  show("elapsed-figure", elapsed !== null);
  setText("elapsed-label", job.done ? "Took" : "Elapsed");
  if (elapsed !== null) setText("elapsed", duration(elapsed));
  const left = job.eta_s === null || job.done ? null : known.eta - (performance.now() - known.at) / 1000;
  show("time-figure", left !== null);
  if (left !== null) setText("time", left >= 10 ? duration(left) : "a few seconds");
}

function describe(job, row) {
  const place = row && !job.done && !isHead(job) ? `, epoch ${row.epoch} of ${job.params.epochs}` : "";
  return `${stateOf(job.state).text}${place}.`;
}
