// Shows a job's state, counts, speed and time left on the result page.

import { announce, byId, element, icon, setText, show } from "./dom.js";
import { ago, duration, moment, number, outcomeOf, plural, rate, titleOf, wholePercent } from "./format.js";

//: Milliseconds over which the speed is measured, and the minimum to measure one.
const WINDOW_MS = 8000;
const LEAST_MS = 900;

let samples = [];

/** Show the job's status. @param {object} job */
export function showStatus(job) {
  document.title = `${job.done ? "" : `${wholePercent(job.progress)} · `}${titleOf(job)} · Darkroom`;
  setText("title", titleOf(job));
  showFacts(job);
  showState(job);
  showCounts(job);
  showSpeed(job);
  announce(describe(job));
}

function showFacts(job) {
  const created = element("time", { datetime: job.created_at, title: moment(job.created_at) }, ago(job.created_at));
  const facts = [element("span", { title: job.id }, `Job ${job.id.slice(0, 8)}`), element("span", {}, "submitted ", created)];
  if (job.model) facts.push(element("span", {}, `model ${job.model}`));
  if (job.expires_at) facts.push(element("span", {}, `kept until ${moment(job.expires_at)}`));
  byId("facts").replaceChildren(...facts);
}

function showState(job) {
  const { name, icon: mark, text } = outcomeOf(job);
  const state = byId("state");
  if (state.dataset.state !== name) {
    state.dataset.state = name;
    state.replaceChildren(icon(mark), text);
  }
  setText("note", noteOf(job));
  const bar = byId("progress");
  bar.value = job.progress;
  bar.dataset.state = name;
  bar.setAttribute("aria-valuetext", wholePercent(job.progress));
}

/** Return the note beside the state. @param {object} job */
export function noteOf(job) {
  if (job.error) return job.error.detail;
  if (job.state === "queued" && job.queue_position !== null) return inQueue(job.queue_position);
  if (job.state === "open") return "Waiting for more pictures.";
  if (job.state === "cancelling") return "Finishing the current pictures first.";
  return job.done ? "" : wholePercent(job.progress);
}

const inQueue = (ahead) => (ahead ? `${plural(ahead, "job")} ahead` : "Next in the queue");

function showCounts(job) {
  for (const name of ["total", "succeeded", "failed", "cancelled"]) setText(name, number(job.counts[name]));
  byId("failed").classList.toggle("some-failed", job.counts.failed > 0);
  show("cancelled-figure", job.counts.cancelled > 0);
}

function showSpeed(job) {
  const perSecond = job.done ? wholeRate(job) : currentRate(finished(job), performance.now());
  show("rate-figure", perSecond !== null);
  if (perSecond !== null) setText("rate", rate(perSecond));
  const seconds = job.done ? wholeTime(job) : job.eta_s;
  show("time-figure", seconds !== null);
  setText("time-label", job.done ? "Took" : "Time left");
  if (seconds !== null) setText("time", job.done || seconds >= 10 ? duration(seconds) : "a few seconds");
}

const finished = ({ counts }) => counts.succeeded + counts.failed + counts.cancelled;

/** Return pictures per second over the last 8 s, or null before it can be measured. @param {number} count finished so far @param {number} now ms */
export function currentRate(count, now) {
  if (samples.at(-1)?.count > count) samples = []; // the job was retried
  samples.push({ now, count });
  while (samples.length > 2 && samples[1].now < now - WINDOW_MS) samples.shift();
  const [first] = samples;
  return now - first.now >= LEAST_MS && count > first.count ? ((count - first.count) * 1000) / (now - first.now) : null;
}

function wholeTime(job) {
  return job.started_at && job.finished_at ? (Date.parse(job.finished_at) - Date.parse(job.started_at)) / 1000 : null;
}

/** Return pictures per second over the whole job, or null if it was too short. @param {object} job */
export function wholeRate(job) {
  const seconds = wholeTime(job);
  return seconds * 1000 >= LEAST_MS ? job.counts.succeeded / seconds : null;
}

/** Describe the job in one sentence for screen readers. @param {object} job */
export function describe(job) {
  const { counts } = job;
  const failed = counts.failed ? `, ${number(counts.failed)} failed` : "";
  return `${outcomeOf(job).text}: ${number(counts.succeeded)} of ${plural(counts.total, "picture")} ${job.kind === "import" ? "imported" : "classified"}${failed}.`;
}
