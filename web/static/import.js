// The page of an import: progress, and what became of its pictures.

import { cancelJob, deleteJob, retryJob, sealJob } from "./api.js";
import { onClick, showProblem } from "./buttons.js";
import { confirmed } from "./confirm.js";
import { byId, element, notice, setText, show } from "./dom.js";
import { Failures } from "./failures.js";
import { Follower } from "./follower.js";
import { number, plural } from "./format.js";
import { Outcomes } from "./import-outcomes.js";
import { Skipped } from "./skipped.js";
import { showStatus } from "./status.js";

const { job: id } = byId("import").dataset;
const failures = new Failures(id, showProblem);
const skipped = new Skipped(id, showProblem);
const follower = new Follower(id, onJob, trouble, ["seal", "cancel", "retry", "delete"]);

let outcomes = new Outcomes(id);
let reading = Promise.resolve();

function onJob(job) {
  showStatus(job);
  failures.update(job);
  skipped.update(job);
  show("seal", job.state === "open" && job.counts.total > 0);
  show("cancel", !job.done && job.state !== "cancelling");
  show("retry", job.done && job.counts.failed + job.counts.cancelled > 0);
  show("delete", job.done);
  const { signal } = follower;
  reading = reading.then(() => readOutcomes(signal)).catch((problem) => problem.name === "AbortError" || showProblem(problem));
}

async function readOutcomes(signal) {
  await outcomes.read(signal);
  for (const name of ["added", "present", "conflict"]) setText(name, number(outcomes.counts[name]));
  const { conflict } = outcomes.counts;
  show("conflicts", conflict > 0);
  setText("conflicts-count", plural(conflict, "picture"));
  byId("conflicts-rows").replaceChildren(...outcomes.conflicts.map(rowOf));
}

function rowOf({ filename, label, dataset_label: kept }) {
  const cells = [label ?? "none", kept ?? "none"].map((text) => element("td", {}, text));
  return element("tr", {}, element("th", { scope: "row", class: "file-name" }, filename), ...cells);
}

function trouble(problem) {
  follower.lost = true;
  notice("Connection lost.", `${problem.message} Retrying automatically. The import continues meanwhile.`);
}

async function retry() {
  outcomes = new Outcomes(id);
  await follower.change(retryJob);
}

async function remove() {
  const text = [element("p", {}, "The list of its files is deleted. The pictures stay in the dataset.")];
  if (!(await confirmed({ title: "Delete this job?", text, yes: "Delete", no: "Keep it", danger: true }))) return;
  await deleteJob(id);
  location.assign("/jobs");
}

onClick("seal", () => follower.change(sealJob));
onClick("cancel", () => follower.change(cancelJob));
onClick("retry", retry);
onClick("retry-failed", retry);
onClick("delete", remove);
follower.start();
