import assert from "node:assert/strict";
import test from "node:test";

import { correctionsOf, figuresOf, provenanceOf, viewsOf } from "../../web/static/card-facts.js";
import { labelOf, isTiny, remarkOf } from "../../web/static/cards.js";
import { inQuotes } from "../../web/static/selection.js";
import { epochsOf, pointsOfHistory, pointsOfRows } from "../../web/static/curves.js";
import { allowed, hintOf } from "../../web/static/fields.js";
import { toPercent, toShare } from "../../web/static/filters.js";
import { sum } from "../../web/static/histogram.js";
import { asksUndo, indexOf, keyOf } from "../../web/static/label-keys.js";
import { compareAddress, modelAddress } from "../../web/static/model-links.js";
import { promotionText, correctionsText, readableName } from "../../web/static/training-outcome.js";
import { comparison } from "../../web/static/promoting.js";
import { secondsLeft } from "../../web/static/sending-panel.js";
import { currentRate, describe, noteOf, wholeRate } from "../../web/static/status.js";
import { noteOf as trainingNote } from "../../web/static/training-status.js";

const COUNTS = { total: 40, succeeded: 0, failed: 0, cancelled: 0 };
const jobOf = (changes) => ({ state: "running", done: false, error: null, progress: 0, queue_position: null, counts: COUNTS, ...changes });

test("the note of a job", () => {
  assert.match(noteOf(jobOf({ error: { detail: "gone wrong" } })), /gone wrong/);
  assert.match(noteOf(jobOf({ state: "queued", queue_position: 2 })), /2 jobs/);
  assert.match(noteOf(jobOf({ state: "queued", queue_position: 0 })), /next/i);
  assert.equal(noteOf(jobOf({ progress: 0.409 })), "40\u00a0%");
  assert.equal(noteOf(jobOf({ state: "succeeded", done: true, progress: 1 })), "");
  for (const state of ["open", "cancelling"]) assert.notEqual(noteOf(jobOf({ state })), "");
});

test("the note of a training", () => {
  assert.match(trainingNote(jobOf({ state: "queued", queue_position: 1 }), ""), /1 training\b/);
  assert.match(trainingNote(jobOf({ state: "queued", queue_position: 0 }), "", 1), /report/);
  assert.doesNotMatch(trainingNote(jobOf({ state: "queued", queue_position: 0 }), "", 0), /report/);
  assert.match(trainingNote(jobOf({ state: "failed", done: true, error: { code: "diverged", detail: "It diverged." } }), ""), /^It diverged\. .*learning rate/);
  assert.equal(trainingNote(jobOf({ state: "failed", done: true, error: { code: "other", detail: "Unknown." } }), ""), "Unknown.");
  assert.equal(trainingNote(jobOf({ progress: 0.5 }), "50\u00a0%"), "50\u00a0%");
  assert.match(trainingNote(jobOf({ progress: 1 }), "100\u00a0%"), /measuring/i);
  assert.equal(trainingNote(jobOf({ state: "succeeded", done: true, progress: 1 }), "100\u00a0%"), "");
});

test("the speed is that of the last 8 seconds", () => {
  assert.equal(currentRate(0, 0), null);
  assert.equal(currentRate(100, 500), null); // too early to tell
  assert.equal(currentRate(200, 1000), 200);
  for (let at = 2000; at <= 20000; at += 1000) currentRate(200 + (at - 1000) / 10, at);
  assert.equal(currentRate(2200, 21000), 100);
  assert.equal(currentRate(5, 22000), null); // it was tried again
});

test("the speed of a whole job needs a second", () => {
  const timed = (seconds) => jobOf({ counts: { ...COUNTS, succeeded: 40 }, started_at: new Date(0).toISOString(), finished_at: new Date(seconds * 1000).toISOString() });
  assert.equal(wholeRate(timed(10)), 4);
  assert.equal(wholeRate(timed(0.5)), null);
  assert.equal(wholeRate(jobOf({ started_at: null, finished_at: null })), null);
});

test("a job in readableName", () => {
  assert.match(describe(jobOf({ state: "succeeded", counts: { ...COUNTS, succeeded: 39, failed: 1 } })), /39 of 40 pictures .*1 failed/);
  assert.doesNotMatch(describe(jobOf({})), /failed/);
});

test("the time left of an upload follows what this visit has sent", () => {
  assert.equal(secondsLeft(0.5, 0.5, 2), null); // too early to tell
  assert.equal(secondsLeft(0.5, 0, 10), null);
  assert.equal(secondsLeft(0.5, 0.5, 10), 10);
  assert.equal(secondsLeft(0.75, 0.25, 10), 10); // half was sent by an earlier visit
});

test("confidence is entered in percent and sent as a share", () => {
  assert.deepEqual(["95", "0.1", "33.3333"].map(toShare), ["0.95", "0.001", "0.333333"]);
  assert.deepEqual(["0.95", "0.001", "1"].map(toPercent), ["95", "0.1", "100"]);
});

test("keys 0 to 9 and a to z but u stand for classes, unless another key is held", () => {
  assert.deepEqual([0, 9, 10, 34, 35].map(keyOf), ["0", "9", "a", "z", ""]); // u is for undo
  const press = (key, held = {}) => ({ key, ctrlKey: false, metaKey: false, altKey: false, ...held });
  assert.deepEqual(["3", "A", "Enter", "?"].map((key) => indexOf(press(key))), [3, 10, -1, -1]);
  assert.equal(indexOf(press("3", { ctrlKey: true })), -1);
  const undo = [press("u"), press("U"), press("z", { ctrlKey: true }), press("z", { metaKey: true })];
  const none = [press("z"), press("u", { ctrlKey: true }), press("u", { altKey: true })];
  assert.ok(undo.every(asksUndo) && !none.some(asksUndo));
});

test("the label of an item, and what it was before", () => {
  const item = (corrected) => ({ corrected_label: corrected, predictions: [{ label: "cat", index: 3 }] });
  assert.deepEqual([null, "dog", "cat"].map((label) => labelOf(item(label))), ["cat", "dog", "cat"]);
  assert.deepEqual([null, "dog", "cat"].map((label) => remarkOf(item(label))), ["class 3", "was cat", "confirmed"]);
  assert.deepEqual([labelOf({ ...item(null), unknown: true }), remarkOf({ ...item(null), unknown: true })], ["unknown", "perhaps cat"]);
  assert.deepEqual([isTiny({ width: 32, height: 64 }), isTiny({ width: 32, height: 65 })], [true, false]);
  assert.deepEqual([inQuotes("trip"), inQuotes("")], [" “trip”", ""]);
  assert.equal(sum([{ count: 2 }, { count: 3 }], "count"), 5);
});

test("addresses escape versions", () => {
  assert.equal(modelAddress("a/b"), "/models/a%2Fb");
  assert.equal(compareAddress("a&b", "c"), "/models/compare?versions=a%26b,c");
});

test("points of rows and of a card's history", () => {
  assert.deepEqual(pointsOfRows([{ step: 5, steps: 20, loss: 1 }], 8).map(({ at }) => at), [2]);
  assert.deepEqual(pointsOfHistory([{ epoch: 3 }]).map(({ at }) => at), [3]);
});

test("an epoch's figures are the mean of its rows, weighted by their steps", () => {
  const row = (epoch, at, loss, valLoss = null) => ({ epoch, at, loss, accuracy: loss / 10, val_loss: valLoss, val_accuracy: valLoss });
  const epochs = epochsOf([row(1, 0.25, 4), row(1, 1, 8, 5), row(2, 1.5, 2)]);
  assert.equal(epochs.length, 1); // the second has not ended
  const [{ epoch, loss, accuracy, val_loss: valLoss }] = epochs;
  assert.deepEqual([epoch, loss, valLoss], [1, 7, 5]);
  assert.ok(Math.abs(accuracy - 0.7) < 1e-9);
  const start = { epoch: 0, at: 0, loss: null, accuracy: null, val_loss: 3, val_accuracy: 0.5 };
  assert.deepEqual(epochsOf([start]).map((each) => [each.epoch, each.loss, each.val_loss]), [[0, null, 3]]);
});

test("a parameter's description, range and default in readableName", () => {
  const epochs = { type: "integer", minimum: 1, maximum: 1000, default: 8, description: "Passes over the data" };
  assert.match(hintOf(epochs), /^Passes over the data.*1 to 1000.*8$/);
  assert.equal(hintOf({ type: "string", default: null, description: "The base" }), "The base");
  assert.match(hintOf({ type: "boolean", default: true, description: "Flip" }), /yes$/);
  assert.match(allowed(epochs), /whole number.*1.*1000/);
  assert.match(allowed({ type: "number", minimum: 0, maximum: 1 }), /number.*0.*1/);
  assert.doesNotMatch(allowed({ type: "string" }), /number/);
  assert.equal(readableName("batch_size"), "batch size");
});

const CARD = {
  metrics: { accuracy: 0.9421, loss: 0.2 }, calibration: { error_after: 0.01 }, dataset: { name: "cifar10", digest: "d", train: 45000, validation: 5000, test: 10000 },
  views: { served: "adaptive", threshold: 0.9, share: 0.25, single_accuracy: 0.9322, six_accuracy: 0.94 }, corrections: null, seed: 1, training_seconds: 75,
  size: { parameters: 1970000, file_bytes: 8 * 1024 ** 2 }, latency: { single_image_ms: 1.234, batch_size: 32, batch_images_per_second: 500 },
  hardware: { cpu: "CPU", cores: 2, gpu: null }, versions: { keras: "3" }, input: { height: 32, width: 32 }, file_sha256: "f",
};

test("the figures of a card", () => {
  const figures = Object.fromEntries(figuresOf(CARD));
  assert.deepEqual([figures.Accuracy, figures.Loss, figures["Calibration error"], figures["One image"]], ["94.21\u00a0%", "0.2000", "1.00\u00a0%", "1.23 ms"]);
  const unmeasured = Object.fromEntries(figuresOf({ ...CARD, metrics: null, calibration: null }));
  assert.match(unmeasured.Accuracy, /not measured/);
  assert.equal(unmeasured["Calibration error"], unmeasured.Accuracy);
});

test("the views of a card", () => {
  assert.match(viewsOf(CARD), /10,000 .*90\.00\u00a0%.*25\.00\u00a0%.*93\.22\u00a0%.*94\.00\u00a0%/);
  for (const served of [1, 6]) assert.doesNotMatch(viewsOf({ ...CARD, views: { ...CARD.views, served } }), /90\.00\u00a0%|undefined/);
  assert.match(viewsOf({ ...CARD, views: null }), /^Measured.*10,000/);
  assert.equal(viewsOf({ ...CARD, views: null, metrics: null }), "");
});

test("how a version was made leaves out what is not known", () => {
  const names = new Set(provenanceOf(CARD).map(([name]) => name));
  assert.deepEqual(["seed", "training time", "GPU", "imported from"].map((name) => names.has(name)), [true, true, false, false]);
  const known = Object.fromEntries(provenanceOf({ ...CARD, dataset: null, training_seconds: null, source: "cnn_model.h5" }));
  assert.deepEqual([known["imported from"], "training time" in known, "images" in known], ["cnn_model.h5", false, false]);
  const network = (version) => Object.fromEntries(provenanceOf({ ...CARD, backbone: { version } }))["pretrained network"];
  assert.deepEqual([network("lite2-1"), network(CARD.version)], ["lite2-1", undefined]);
});

test("what corrections have brought", () => {
  assert.deepEqual(correctionsOf(CARD), []);
  const corrections = { learnt: 30, weight: 1, held_out: 10, accuracy: null, champion_accuracy: null };
  const values = correctionsOf({ corrections }).map(([, value]) => value);
  assert.deepEqual(values.slice(0, 3), ["30", "1 time", "10"]);
  assert.match(values[3], /not measured/);
  assert.doesNotMatch(correctionsText(corrections), /%/);
  assert.match(correctionsText({ ...corrections, accuracy: 0.8 }), /10 .*80\.00\u00a0%/);
  assert.match(correctionsText({ ...corrections, accuracy: 0.8, champion_accuracy: 0.5 }), /80\.00\u00a0%.*50\.00\u00a0%/);
});

test("whether a new version was promoted, and why", () => {
  const job = (promote, promotion) => ({ params: { promote }, promotion });
  assert.equal(promotionText(job("always", null)), "");
  assert.match(promotionText(job("always", { promoted: true, reason: "as asked" })), /^Promoted: As asked\.$/);
  assert.match(promotionText(job("if_better", { promoted: false, reason: "not better" })), /^Not promoted: Not better\.$/);
  assert.notEqual(promotionText(job("never", null)), "");
});

test("two versions are compared only by the same test images", () => {
  const measured = (accuracy, digest = "d") => ({ metrics: { accuracy }, dataset: { digest } });
  assert.match(comparison(measured(0.94), measured(0.9)), /94\.00\u00a0%.*90\.00\u00a0%.*\+4\.00/);
  assert.doesNotMatch(comparison(measured(0.94), measured(0.9, "other")), /\+4\.00/);
  assert.match(comparison(measured(0.94), { metrics: null }), /94\.00\u00a0%.*measured/);
  assert.doesNotMatch(comparison({ metrics: null }, measured(0.9)), /%/);
});
