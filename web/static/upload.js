// The upload page: choose files, review them, send them, go to the result.

import { onClick } from "./buttons.js";
import { chooseDefault, chosenClassifier, offerClassifiers } from "./classifier-choice.js";
import { fileList, showChosen } from "./selection.js";
import { byId, element, notice, setText, show } from "./dom.js";
import { checkFiles, tooManyFiles } from "./files.js";
import { plural } from "./format.js";
import { save, loadAll } from "./storage.js";
import { assignKeys } from "./file-keys.js";
import { samples, wirePicking } from "./file-inputs.js";
import { showPreviews } from "./previews.js";
import { findInterrupted, isOffered, offer, settle } from "./resume.js";
import { canScale } from "./scaling.js";
import { Transfer } from "./transfer.js";
import { isWelcome, wireWelcome } from "./welcome.js";

//: localStorage key of the choice not to scale pictures.
const UNSCALED = "darkroom.unscaled";
const { dataset } = byId("upload");
const limits = {
  maxFileBytes: Number(dataset.maxFileBytes),
  maxRequestBytes: Number(dataset.maxRequestBytes),
  maxItems: Number(dataset.maxItems),
  junk: new RegExp(dataset.junk, "i"),
};

let chosen = { choices: [], skipped: [] };
let before = null; // the interrupted upload that the chosen files continue
let transfer = null;
let adding = Promise.resolve();
let offered = null; // the search for an interrupted upload

function step(name) {
  dataset.step = name;
  show("drop", name === "pick");
  show("welcome", name === "pick" && isWelcome());
  show("interrupted", name === "pick" && isOffered());
  show("terms", name !== "sending");
  show("chosen", name === "chosen");
  show("sending", name === "sending");
  show("reading", false);
}

/** Add files to those already chosen, one selection after another. */
function add(found) {
  if (transfer) return notice("One upload at a time.", "Add these files after the current upload.");
  adding = adding.then(() => addFound(found)).catch(showAddError);
  return adding;
}

/** Show why a selection could not be added. Earlier files stay. @param {any} error */
function showAddError(error) {
  show("reading", false);
  notice(error.title ?? "The files could not be read.", error.detail ?? error.message);
}

async function addFound(found) {
  notice(null);
  const more = await checkFiles(await found, limits, reading);
  if (transfer) return undefined; // an upload was started meanwhile
  const all = { choices: [...chosen.choices, ...more.choices], skipped: [...chosen.skipped, ...more.skipped] };
  const much = tooManyFiles(all.choices, limits);
  if (much) return startOver(() => notice("Too many files.", much));
  if (!all.choices.length) return startOver(() => showNothingToSend(more.skipped));
  assignKeys(all.choices);
  await offerResume();
  const interrupted = await findInterrupted(all.choices);
  return transfer ? undefined : showSelection(all, interrupted);
}

function showSelection(all, interrupted) {
  [chosen, before] = [all, interrupted];
  showChosen(chosen.choices, chosen.skipped, before);
  step("chosen");
  byId("start").focus();
}

function reading(count) {
  show("reading", true);
  setText("reading", `Reading ${plural(count, "file")}…`);
}

function showNothingToSend(skipped) {
  if (!skipped.length) return notice("No files found.", "Choose at least one picture, or a folder with pictures.");
  const what = skipped.length === 1 ? "This file cannot be classified." : "None of these files can be classified.";
  return notice(what, fileList(skipped), element("p", {}, `Accepted formats: ${dataset.formats}, also in .zip, .tar, .tar.gz and the like.`));
}

function startOver(then) {
  chosen = { choices: [], skipped: [] };
  [transfer, before] = [null, null];
  showPreviews(byId("previews"), []);
  step("pick");
  then?.();
}

function send() {
  transfer = new Transfer(chosen.choices, before, canScale() && byId("scale").checked, chosenClassifier(), () => startOver());
  step("sending");
  transfer.resume();
}

/** Classify the samples with the default classifier: it knows what they show. */
async function trySamples() {
  await add(samples());
  if (transfer || !chosen.choices.length) return;
  chooseDefault().catch(() => {}); // it can be used without what the page says about it
  send();
}

/** Offer to resume an interrupted upload. Throw if the service is unavailable; the next call tries again. */
async function offerResume() {
  offered ??= offer();
  try {
    await offered;
  } catch (problem) {
    offered = null;
    throw problem;
  }
  show("interrupted", dataset.step === "pick" && isOffered());
}

/** Show the hint for newcomers, to which a link of each page leads. */
function showWelcome() {
  show("welcome", true);
  byId("welcome").scrollIntoView({ block: "center" });
}

function wire() {
  wirePicking(add, reading);
  byId("samples").addEventListener("click", trySamples);
  byId("start").addEventListener("click", send);
  byId("pause").addEventListener("click", () => transfer.pause());
  byId("go-on").addEventListener("click", () => transfer.resume());
  byId("clear").addEventListener("click", () => startOver(() => byId("pick-files").focus()));
  byId("stop").addEventListener("click", () => transfer.cancel());
  onClick("settle", settle);
  wireWelcome(() => byId("pick-files").focus(), () => dataset.step === "pick" && showWelcome());
  show("options", canScale());
  byId("scale").checked = !loadAll(UNSCALED).length;
  byId("scale").addEventListener("change", ({ target }) => save(UNSCALED, target.checked ? null : true));
}

wire();
step("pick");
if (location.hash && isWelcome()) showWelcome();
offerResume().catch(() => {}); // tried again when files are chosen
offerClassifiers().catch(() => {}); // without them, the default answers
