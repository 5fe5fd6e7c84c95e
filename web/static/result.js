// The result page: follows the job, fills in its results, and does what the buttons say.

import { cancelJob, deleteJob, retryJob, sealJob } from "./api.js";
import { announce, byId, notice, setText, show } from "./dom.js";
import { Follower } from "./follower.js";
import { plural } from "./format.js";
import { Gallery } from "./gallery.js";
import { showStatus } from "./status.js";
import { Trail } from "./trail.js";

//: Milliseconds that the copy button says what it did.
const COPIED_MS = 2500;
const { job: id, kind } = byId("result").dataset;
const form = byId("filters");
const trail = new Trail(turn);
const gallery = new Gallery(id, trail, filter);

const following = new Follower(id, onJob, trouble, ["seal", "cancel", "retry", "delete"]);

let job = null;

/** What the three selects ask for; they are in the page's address too. */
function filter() {
  const { label, state, sort } = Object.fromEntries(new FormData(form));
  return { label, state, sort };
}

function onJob(now) {
  job = now;
  showStatus(job);
  showButtons();
  fill();
}

async function fill() {
  if (!job || kind !== "classification") return;
  try {
    await gallery.refresh(job);
  } catch (problem) {
    if (problem.passing) trouble(problem);
    else notice(problem.title, problem.detail);
  }
}

function trouble(problem) {
  following.lost = true;
  notice("The connection was lost.", `${problem.message} This page tries again by itself; the job goes on meanwhile.`);
}

function showButtons() {
  const again = job.counts.failed + job.counts.cancelled;
  show("seal", job.state === "open" && job.counts.total > 0);
  show("cancel", !job.done && job.state !== "cancelling");
  show("retry", job.done && kind === "classification" && again > 0);
  show("delete", job.done);
}

/** Another page of results. */
function turn() {
  readAddress();
  gallery.reset();
  fill().then(() => byId("results-title").scrollIntoView({ block: "nearest" }));
}

/** The filter of the page's address into the selects: another machine may have sent it. */
function readAddress() {
  const given = new URLSearchParams(location.search);
  for (const select of form.querySelectorAll("select")) {
    select.value = given.get(select.name) ?? "";
    if (select.selectedIndex < 0) select.value = "";
  }
}

function narrow() {
  const given = Object.entries(filter()).filter(([, value]) => value);
  const search = new URLSearchParams(given).toString();
  trail.restart(location.pathname + (search ? `?${search}` : ""));
}

/** Do what a button says, and say in words where it cannot be done. */
function does(button, work) {
  byId(button).addEventListener("click", async () => {
    byId(button).disabled = true;
    try {
      notice(null);
      await work();
    } catch (problem) {
      notice(problem.title ?? "That did not work.", problem.detail ?? problem.message);
      byId("notice").focus();
    } finally {
      byId(button).disabled = false;
    }
  });
}

async function retry() {
  try {
    await following.change(retryJob);
  } catch (problem) {
    if (problem.status !== 409) throw problem;
    notice("There is nothing to try again.", problem.detail, " A file that was refused when it was sent must be sent anew.");
    return;
  }
  announce("The failed pictures are tried again.");
  narrow();
}

/** Browsers lend the clipboard to pages from HTTPS or this computer only. */
async function copy() {
  if (!navigator.clipboard) {
    notice("The address of this job is", location.href);
    return;
  }
  await navigator.clipboard.writeText(location.href);
  setText("copy-text", "Copied");
  announce("The address is copied.");
  setTimeout(() => setText("copy-text", "Copy address"), COPIED_MS);
}

function askToDelete() {
  setText("confirm-text", `${plural(job.counts.total, "picture")} and all results of this job are removed from the service. That cannot be undone.`);
  byId("confirm").returnValue = "";
  byId("confirm").showModal();
}

async function remove() {
  await deleteJob(id);
  location.assign("/jobs");
}

function wire() {
  does("seal", () => following.change(sealJob));
  does("cancel", () => following.change(cancelJob));
  does("retry", retry);
  does("copy", copy);
  does("delete", askToDelete);
  byId("confirm").addEventListener("close", () => {
    if (byId("confirm").returnValue === "delete") remove().catch((problem) => notice(problem.title, problem.detail));
  });
  form.addEventListener("change", narrow);
  form.addEventListener("submit", (event) => event.preventDefault());
  byId("unfilter").addEventListener("click", () => {
    form.reset();
    narrow();
  });
  byId("previous").addEventListener("click", () => trail.back());
  byId("next").addEventListener("click", () => trail.forward(gallery.cursor));
}

readAddress();
wire();
following.start();
