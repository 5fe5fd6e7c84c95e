// The upload page: choose, look at what was chosen, send, go to the result.

import { does } from "./buttons.js";
import { listOf, showChosen } from "./chosen.js";
import { byId, element, notice, setText, show } from "./dom.js";
import { sort, tooMany } from "./files.js";
import { plural } from "./format.js";
import { keep, kept } from "./kept.js";
import { giveKeys } from "./keys.js";
import { samples, wirePicking } from "./picking.js";
import { showPreviews } from "./previews.js";
import { belongsTo, isOffered, offer, settle } from "./resuming.js";
import { canScale } from "./scaling.js";
import { Transfer } from "./transfer.js";

//: Where the browser keeps that pictures shall not be scaled down.
const UNSCALED = "darkroom.unscaled";
const { dataset } = byId("upload");
const limits = {
  maxFileBytes: Number(dataset.maxFileBytes),
  maxRequestBytes: Number(dataset.maxRequestBytes),
  maxItems: Number(dataset.maxItems),
};

let chosen = { choices: [], leftOut: [] };
let before = null; // the interrupted upload that what is chosen belongs to
let transfer = null;
let adding = Promise.resolve();
let offered = null; // the look for an interrupted upload

function step(name) {
  dataset.step = name;
  show("drop", name === "pick");
  show("interrupted", name === "pick" && isOffered());
  show("terms", name !== "sending");
  show("chosen", name === "chosen");
  show("sending", name === "sending");
  show("reading", false);
}

/** Take files in, beside those that are there already, one lot after the other. */
function add(found) {
  if (transfer) return notice("One upload at a time.", "Add these when this one has been sent.");
  adding = adding.then(() => take(found)).catch(notTaken);
  return adding;
}

/** What was chosen before stays, and nothing of this lot is there: it can be chosen again. @param {any} error */
function notTaken(error) {
  show("reading", false);
  notice(error.title ?? "That could not be read.", error.detail ?? error.message);
}

async function take(found) {
  notice(null);
  const more = await sort(await found, limits, reading);
  if (transfer) return undefined; // an upload was begun meanwhile
  const all = { choices: [...chosen.choices, ...more.choices], leftOut: [...chosen.leftOut, ...more.leftOut] };
  const much = tooMany(all.choices, limits);
  if (much) return startOver(() => notice("Too many at once.", much));
  if (!all.choices.length) return startOver(() => nothingToSend(more.leftOut));
  giveKeys(all.choices);
  await lookBack();
  const theirs = await belongsTo(all.choices);
  return transfer ? undefined : lookAt(all, theirs);
}

function lookAt(all, theirs) {
  [chosen, before] = [all, theirs];
  showChosen(chosen.choices, chosen.leftOut, before);
  step("chosen");
  byId("start").focus();
}

function reading(count) {
  show("reading", true);
  setText("reading", `Looking at ${plural(count, "file")}…`);
}

function nothingToSend(leftOut) {
  if (!leftOut.length) return notice("There is nothing in it.", "Choose at least one picture, or a folder with some.");
  const what = leftOut.length === 1 ? "That cannot be classified." : "None of these can be classified.";
  return notice(what, listOf(leftOut), element("p", {}, `Accepted are ${dataset.formats}, and .zip, .tar and .tar.gz archives.`));
}

function startOver(then) {
  chosen = { choices: [], leftOut: [] };
  [transfer, before] = [null, null];
  showPreviews(byId("previews"), []);
  step("pick");
  then?.();
}

function send() {
  transfer = new Transfer(chosen.choices, before, canScale() && byId("scale").checked, () => startOver());
  step("sending");
  transfer.goOn();
}

function trySamples() {
  add(samples()).then(() => !transfer && chosen.choices.length && send());
}

/** Offer to go on with an interrupted upload, if there is one. Throws where that cannot be told now: the next call looks again. */
async function lookBack() {
  offered ??= offer();
  try {
    await offered;
  } catch (problem) {
    offered = null;
    throw problem;
  }
  show("interrupted", dataset.step === "pick" && isOffered());
}

function wire() {
  wirePicking(add, reading);
  byId("samples").addEventListener("click", trySamples);
  byId("start").addEventListener("click", send);
  byId("pause").addEventListener("click", () => transfer.pause());
  byId("go-on").addEventListener("click", () => transfer.goOn());
  byId("clear").addEventListener("click", () => startOver(() => byId("pick-files").focus()));
  byId("stop").addEventListener("click", () => transfer.cancel());
  does("settle", settle);
  show("options", canScale());
  byId("scale").checked = !kept(UNSCALED).length;
  byId("scale").addEventListener("change", ({ target }) => keep(UNSCALED, target.checked ? null : true));
}

wire();
step("pick");
lookBack().catch(() => {}); // it is looked for again when something is chosen
