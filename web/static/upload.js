// The upload page: choose, look at what was chosen, send, go to the result.

import { announce, byId, element, icon, notice, setText, show } from "./dom.js";
import { bytesOf } from "./batches.js";
import { fromDrop, fromInput, sort, titleFor, tooMany } from "./files.js";
import { bytes, number, plural } from "./format.js";
import { showPreviews } from "./previews.js";
import { Sender } from "./sender.js";

//: Names of left out files that are listed; more are counted.
const NAMED = 8;
const { dataset } = byId("upload");
const limits = {
  maxFileBytes: Number(dataset.maxFileBytes),
  maxRequestBytes: Number(dataset.maxRequestBytes),
  maxItems: Number(dataset.maxItems),
};

let chosen = { choices: [], leftOut: [] };
let sender = null;
let began = 0;

function step(name) {
  dataset.step = name;
  show("drop", name === "pick");
  show("chosen", name === "chosen");
  show("sending", name === "sending");
}

/** Take files in, beside those that are there already. */
function add(found) {
  if (sender) return;
  notice(null);
  const more = sort(found, limits);
  chosen = { choices: [...chosen.choices, ...more.choices], leftOut: [...chosen.leftOut, ...more.leftOut] };
  const much = tooMany(chosen.choices, limits);
  if (much) return startOver(() => notice("Too many at once.", much));
  if (!chosen.choices.length) return startOver(() => nothingToSend(more.leftOut));
  showChosen();
}

function nothingToSend(leftOut) {
  if (!leftOut.length) return notice("There is nothing in it.", "Choose at least one picture, or a folder with some.");
  const what = leftOut.length === 1 ? "That cannot be classified." : "None of these can be classified.";
  return notice(what, listOf(leftOut), element("p", {}, `Accepted are ${dataset.formats}, and .zip, .tar and .tar.gz archives.`));
}

function showChosen() {
  const { choices, leftOut } = chosen;
  const archives = choices.filter(({ archive }) => archive).length;
  const parts = [[choices.length - archives, "picture"], [archives, "archive"]].filter(([count]) => count);
  const what = parts.map(([count, noun]) => plural(count, noun)).join(" and ");
  setText("chosen-title", `${what}, ${bytes(bytesOf(choices))}`);
  byId("start").replaceChildren(icon("upload"), archives ? "Upload and classify" : `Classify ${what}`);
  show("left-out", leftOut.length > 0);
  byId("left-out").replaceChildren(icon("alert"), element("div", {}, element("strong", {}, leftOutTitle(leftOut)), listOf(leftOut)));
  showPreviews(byId("previews"), choices);
  step("chosen");
  byId("start").focus();
  announce(`${what} chosen${leftOut.length ? `, ${plural(leftOut.length, "file")} left out` : ""}.`);
}

const leftOutTitle = (leftOut) => (leftOut.length === 1 ? "1 file will not be sent:" : `${number(leftOut.length)} files will not be sent:`);

/** A list of some names, never one element for each of thousands. */
function listOf(leftOut) {
  const list = element("ul", { class: "names" });
  for (const { name, reason } of leftOut.slice(0, NAMED)) {
    list.append(element("li", {}, element("span", { class: "file-name" }, name), ` (${reason})`));
  }
  if (leftOut.length > NAMED) list.append(element("li", {}, `and ${number(leftOut.length - NAMED)} more`));
  return list;
}

function startOver(then) {
  chosen = { choices: [], leftOut: [] };
  sender = null;
  showPreviews(byId("previews"), []);
  step("pick");
  then?.();
}

async function send() {
  const { choices } = chosen;
  sender ??= new Sender(choices, { ...limits, title: titleFor(choices), onProgress: showProgress, onWait: showWait });
  notice(null);
  show("again", false);
  show("sending-hint", true);
  setText("sending-title", `Sending ${plural(choices.length, "file")}`);
  step("sending");
  byId("sending-title").focus();
  began = performance.now();
  showProgress(sender.sent);
  addEventListener("beforeunload", warn);
  try {
    arrived(await sender.run());
  } catch (problem) {
    if (problem.name !== "AbortError") failed(problem);
  } finally {
    removeEventListener("beforeunload", warn);
  }
}

function arrived(job) {
  removeEventListener("beforeunload", warn);
  const address = `/result/${job}`;
  const { rejected, unreadable } = sender;
  if (!rejected.length && !unreadable.length) {
    location.assign(address);
    return;
  }
  startOver();
  const lost = unreadable.map((name) => ({ name, reason: "could not be read on this computer" }));
  notice("Not everything could be sent.", listOf([...lost, ...rejected]), element("a", { href: address }, "See the job with the rest"));
}

function failed(problem) {
  const canGoOn = problem.passing;
  notice(canGoOn ? "The upload has stopped." : problem.title, canGoOn ? problem.message : problem.detail, " ", advice(problem));
  if (!canGoOn) return startOver();
  setText("sending-title", "The upload has stopped");
  show("sending-hint", false);
  show("again", true);
  byId("again").focus();
  return undefined;
}

function advice(problem) {
  if (problem.passing) return "Nothing is lost: go on sending when the service is back.";
  if (problem.status === 507) return "The service's disk is full: tell whoever runs it, or delete old jobs.";
  if (problem.status === 413) return "Send smaller or fewer files.";
  return problem.status === 415 || problem.status === 422 ? "Choose other files." : "Try it again.";
}

function showProgress(sent) {
  const { files, bytes: all } = sender.total;
  const share = all ? Math.min(1, sent.bytes / all) : 0;
  const perSecond = sent.bytes / Math.max(0.001, (performance.now() - began) / 1000);
  byId("sent").value = share;
  setText("sent-files", `${number(Math.min(sent.files, files))} of ${number(files)}`);
  setText("sent-bytes", `${bytes(sent.bytes)} of ${bytes(all)}`);
  setText("sent-rate", sent.bytes ? `${bytes(perSecond)}/s` : "–");
  announce(`${Math.floor(share * 100)} % sent, ${number(sent.files)} of ${plural(files, "file")}.`);
}

function showWait(problem) {
  notice(problem && "The connection was lost.", "Trying again by itself…");
}

async function stop() {
  const stopped = sender;
  startOver();
  byId("pick-files").focus();
  try {
    await stopped?.cancel();
    announce("The upload was cancelled.");
    notice("The upload was cancelled.", ...whereabouts(stopped?.jobId));
  } catch (problem) {
    notice("The upload was cancelled,", "but the service could not be told: ", problem.message);
  }
}

function whereabouts(job) {
  return job ? ["What had arrived by then is in ", element("a", { href: `/result/${job}` }, "its job"), "."] : ["Nothing of it was kept."];
}

function warn(event) {
  event.preventDefault();
}

async function drop(event) {
  event.preventDefault();
  document.body.classList.remove("dragging");
  if (sender) return;
  const reading = fromDrop(event.dataTransfer, (found) => announce(`Reading folders, ${plural(found, "file")} so far.`));
  try {
    add(await reading);
  } catch (error) {
    notice("A folder could not be read.", error.message);
  }
}

function wire() {
  for (const [button, input] of [["pick-files", "files"], ["pick-folder", "folder"], ["more", "files"]]) {
    byId(button).addEventListener("click", () => byId(input).click());
  }
  for (const id of ["files", "folder"]) {
    byId(id).addEventListener("change", ({ target }) => {
      add(fromInput(target.files));
      target.value = ""; // so that choosing the same again is a change again
    });
  }
  byId("start").addEventListener("click", send);
  byId("again").addEventListener("click", send);
  byId("clear").addEventListener("click", () => startOver(() => byId("pick-files").focus()));
  byId("stop").addEventListener("click", stop);
  show("pick-folder", "webkitdirectory" in HTMLInputElement.prototype);
  document.addEventListener("paste", ({ clipboardData }) => clipboardData.files.length && add(fromInput(clipboardData.files)));
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.toggle("dragging", !sender);
  });
  document.addEventListener("dragleave", ({ relatedTarget }) => !relatedTarget && document.body.classList.remove("dragging"));
  document.addEventListener("drop", drop);
}

wire();
