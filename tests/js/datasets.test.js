import assert from "node:assert/strict";
import test from "node:test";

import { accuracyText, classesOf, intervalText, oftenRight } from "../../web/static/accuracy.js";
import { namesOf } from "../../web/static/backbone-choice.js";
import { nameOf, whyNot } from "../../web/static/camera.js";
import { withoutPictures } from "../../web/static/dataset-changes.js";
import { examplesOf } from "../../web/static/doubts.js";
import { labelFor } from "../../web/static/import-labels.js";
import { matching } from "../../web/static/dataset-labels.js";
import { isHead, titleOf } from "../../web/static/format.js";
import { whetherItServes } from "../../web/static/head-outcome.js";
import { occurring } from "../../web/static/histogram.js";
import { outcomeWords } from "../../web/static/import-outcomes.js";
import { keyed } from "../../web/static/label-keys.js";
import { bestFirst, groupsOf, labelsOf } from "../../web/static/near-copies.js";
import { adviceOf } from "../../web/static/report-words.js";
import { bySuggestion, suggestionOf } from "../../web/static/dataset-pictures.js";
import { draggedIds } from "../../web/static/picture-dragging.js";
import { advice, contentOf, finetuneSeconds, lacks, nameFrom, trainingSeconds } from "../../web/static/training-advice.js";

const label = (name, train, test_ = 0) => ({ name, train, test: test_ });

test("an accuracy comes with its interval", () => {
  assert.equal(accuracyText(null), "not measured");
  assert.equal(accuracyText({ accuracy: 0.931, accuracy_interval: [0.88, 0.962] }), "93.1\u00a0% (88–96\u00a0%)");
  assert.equal(accuracyText({ accuracy: 1, accuracy_interval: [0.72, 1] }), "100\u00a0% (72–100\u00a0%)");
  assert.equal(accuracyText({ accuracy: 0.9 }), "90.0\u00a0%");
  assert.equal(intervalText(null), "");
});

test("a wide interval asks for more pictures", () => {
  assert.match(oftenRight({ accuracy: 0.9, accuracy_interval: [0.6, 0.98] }, 10), /9 of 10 test pictures.*60–98\u00a0%.*[Mm]ore pictures/);
  assert.doesNotMatch(oftenRight({ accuracy: 0.95, accuracy_interval: [0.94, 0.96] }, 1000), /[Mm]ore pictures/);
});

test("classes are sorted by recall, with what they are taken for", () => {
  const metrics = {
    per_class: [
      { label: "a", recall: 1, support: 4 }, { label: "b", recall: 0.5, recall_interval: [0.1, 0.9], support: 4 }, { label: "c", recall: 0, support: 0 },
    ],
    confusion_matrix: [[4, 0, 0], [1, 2, 1], [0, 0, 0]],
  };
  const rows = classesOf(metrics);
  assert.deepEqual(rows.map((row) => row.label), ["b", "a"]); // c has no test pictures
  assert.deepEqual(rows[0].takenFor, { label: "a", count: 1 });
  assert.equal(rows[1].takenFor, null);
});

test("the pretrained networks are offered by name, the usual one first", () => {
  const version = (preset, embedding) => ({ preset, embedding });
  assert.deepEqual(namesOf([version("lite2", 1280), version("everyday", 1280), version("lite2", 1280), version("copy", null), version("densenet121", 1024)]), ["everyday", "densenet121", "lite2"]);
  assert.deepEqual(namesOf([]), ["everyday"]);
});

test("what a dataset lacks before it can be trained on", () => {
  assert.match(lacks([]), /at least two/);
  assert.match(lacks([label("mug", 0)], 12), /no label yet/);
  assert.match(lacks([label("mug", 9, 1), label("glass", 0)]), /mug/);
  assert.match(lacks([label("mug", 9, 1), label("glass", 3, 1), ...[1, 2, 3].map((n) => label(`x${n}`, 1))]), /glass \(4\).*and 1 more/);
  assert.equal(lacks([label("mug", 4, 1), label("glass", 4, 1)]), "");
  assert.match(advice([label("mug", 40, 10), label("glass", 4, 1)]), /Fewest: glass \(5\)\.$/);
  assert.equal(advice([label("mug", 40, 10)]), "");
  assert.ok(trainingSeconds(2640) <= 20 && trainingSeconds(0) > 0);
  const preset = { cost: { images_per_s: 20 }, parameters: { epochs: { default: 10 } } };
  assert.equal(finetuneSeconds([{ train: 30 }, { train: 10 }], preset), 20);
  assert.equal(finetuneSeconds([{ train: 30 }], { ...preset, cost: { images_per_s: null } }), null);
});

test("a dataset's name and content", () => {
  assert.deepEqual(["My Mugs!", "  Äpfel & Birnen ", "***", "a".repeat(80)].map(nameFrom), ["my-mugs", "a-pfel-birnen", "", "a".repeat(64)]);
  assert.equal(contentOf({ pictures: 1, unlabelled: 0, labels: [1, 2] }), "1 picture, 2 labels");
  assert.match(contentOf({ pictures: 9, unlabelled: 3, labels: [] }), /3 without a label/);
});

test("dropped files get the row's label, or the chosen one if they are loose", () => {
  const [loose, nested] = [[{ name: "1.jpg" }], [{ name: "1.jpg" }, { name: "mug/1.jpg" }]];
  assert.equal(labelFor(nested, "glass", "mug"), "glass");
  assert.equal(labelFor(loose, null, "mug"), "mug");
  assert.equal(labelFor(nested, null, "mug"), null);
  assert.equal(labelFor(loose, null, ""), null);
});

test("deleted pictures leave no change to undo", () => {
  assert.deepEqual(withoutPictures([{ 1: "a", 2: null }, { 2: "b" }], ["2"]), [{ 1: "a" }]);
});

test("with many classes, only those that occur are listed, and none has a key", () => {
  const counts = [{ label: "a", count: 0 }, { label: "b", count: 1 }, { label: "c", count: 7 }];
  assert.deepEqual(occurring(counts, "a").map((each) => each.label), ["c", "b", "a"]);
  assert.deepEqual(occurring(counts, "").map((each) => each.label), ["c", "b"]);
  assert.deepEqual([10, 35, 36, 1000].map(keyed), [10, 35, 0, 0]);
  assert.deepEqual(matching([{ name: "Mug" }, { name: "glass" }], " mU"), [{ name: "Mug" }]);
});

test("imports and trainings of a dataset in words", () => {
  const counts = { added: 40, present: 1, conflict: 2, failed: 1, cancelled: 0 };
  assert.equal(outcomeWords(counts), "40 pictures added, 1 was there already, 2 have another label in the dataset, 1 failed.");
  const training = { kind: "training", params: { preset: "head", dataset: "mugs", promote: "if_better" }, counts: {} };
  assert.ok(isHead(training) && !isHead({ params: null }));
  assert.equal(titleOf(training), "Training of mugs");
  assert.equal(titleOf({ kind: "import", params: { dataset: "mugs" }, counts: {} }), "Import into mugs");
  assert.match(whetherItServes({ ...training, promotion: { promoted: true, reason: "it is better." } }, "mugs"), /from now on: it is better\.$/);
  assert.match(whetherItServes({ ...training, promotion: { promoted: false, reason: "no" } }, "mugs"), /version before/);
  const reasons = { "inconclusive: the champion stays (+0.00 points)": /not better beyond chance \(\+0\.00 points\)\.$/, "mug loses 5 points of recall, more than 3: the champion stays (x)": /mug loses .* 3 \(x\)\.$/,
    "the champion stays: v has learnt from 2 test pictures": /mugs: v has learnt/ };
  for (const [reason, words] of Object.entries(reasons)) assert.match(whetherItServes({ ...training, promotion: { promoted: false, reason } }, "mugs"), words);
});

test("the report says what to do next", () => {
  assert.deepEqual(adviceOf({ thin_labels: [], same_but_case: [], imbalance: null, computed: null }), []);
  const learnt = {
    curve_revision: 7,
    doubted: { pictures: 2 }, unknown: { unlabelled: 0 }, gains: [{ label: "mug", gain: 0.04 }, { label: "cup", gain: 0 }],
    curve: [{ pictures: 30, accuracy: 0.8, interval: [0.7, 0.9] }, { pictures: 40, accuracy: 0.85, interval: [0.75, 0.92] }],
  };
  const copies = { groups: 3, groups_with_several_labels: 1, listed: [[{ id: "3", label: "mug" }], [{ id: "7", label: "mug" }, { id: "9", label: "cup" }], [{ id: "4", label: "mug" }, { id: "5", label: null }]] };
  const thin = [{ label: "jar", pictures: 0, problem: "too_few" }, { label: "jug", pictures: 4, problem: "too_few" }, { label: "cup", pictures: 9, problem: "few" }];
  const report = { thin_labels: thin, same_but_case: [["Mug", "mug"]], imbalance: { most: "mug", fewest: "cup", ratio: 12.3 }, computed: { learnt, revision: 7, near_copies: copies } };
  const lines = adviceOf(report);
  assert.deepEqual(lines.filter(({ show }) => show).map(({ show, id }) => [show, id]), [["doubted", undefined], ["copies", "7"]]);
  assert.deepEqual(lines.map(({ decide }) => decide).filter(Boolean), ["decide-doubts", "decide-labels", "decide-copies"]);
  assert.deepEqual(lines.flatMap(({ add }) => add ?? []), ["cup", "jug", "mug"]);
  for (const part of [/Mug and mug/, /jug has only 4 pictures: a training needs 5/, /12 times/, /2 pictures may/, /85\.0\u00a0% \(75–92\u00a0%\).*still raise the accuracy/, /most: mug\.$/, /1 group .* has several/, /2 groups .* have one label each\. They/]) {
    assert.ok(lines.some(({ text }) => part.test(text)), String(part));
  }
  const flat = { ...learnt, curve: [{ ...learnt.curve[1], pictures: 30 }, learnt.curve[1]] };
  assert.ok(adviceOf({ ...report, computed: { ...report.computed, learnt: flat } }).some(({ text }) => text.endsWith("hardly raise the accuracy now.")));
  const older = adviceOf({ ...report, computed: { ...report.computed, revision: 8 } });
  assert.ok(older.some(({ text }) => text.endsWith("still raise the accuracy. Measured before the latest changes.")));
});

test("pictures without a label are sorted by the suggested one, the most frequent first", () => {
  const names = ["cup", "mug", null, "mug"].map((name, id) => ({ id, suggested: name && { label: name } }));
  assert.deepEqual(bySuggestion(names).map(({ id }) => id), [1, 3, 0, 2]);
});

test("of near copies, one is worth keeping", () => {
  const picture = (id, label_, width, bytes = 1) => ({ id, label: label_, width, height: 10, bytes });
  const pictures = [picture("1", null, 90), picture("2", "mug", 20), picture("3", "mug", 40, 5), picture("4", "cup", 40, 9)];
  assert.deepEqual(bestFirst(pictures).map(({ id }) => id), ["4", "3", "2", "1"]);
  assert.deepEqual(labelsOf(pictures), ["mug", "cup"]);
  const [alone, mixed, same] = [pictures.slice(0, 1), pictures.slice(2), pictures.slice(0, 3)];
  assert.deepEqual(groupsOf([alone, mixed, same], true), [mixed]);
  assert.deepEqual(groupsOf([alone, mixed, same], false), [same]);
});

test("a doubted picture is shown beside those that resemble it and have the better label", () => {
  const near = [["3", "mug"], ["4", "cup"], ["5", null], ["6", "mug"], ["7", "mug"]].map(([id, name]) => ({ id, label: name }));
  assert.deepEqual(examplesOf(near, "mug"), ["3", "6"]);
  assert.deepEqual(examplesOf(near, "glass"), []);
});

test("a label is suggested for a picture without one, or whose own fits worse", () => {
  const suggested = { label: "mug", score: 0.9 };
  assert.equal(suggestionOf({ label: null, suggested, doubt: null }), "mug");
  assert.equal(suggestionOf({ label: "cup", suggested, doubt: 0.7 }), "mug");
  assert.equal(suggestionOf({ label: "cup", suggested, doubt: 0.2 }), null);
  assert.equal(suggestionOf({ label: "mug", suggested, doubt: null }), null);
  assert.equal(suggestionOf({ label: null, suggested: null, doubt: null }), null);
});

test("pictures of the camera have names, and a missing camera a reason", () => {
  assert.equal(nameOf(new Date("2026-01-02T03:04:05.678Z"), 8), "camera-20260102T030405-009.jpg");
  assert.match(whyNot({ name: "NotAllowedError", message: "" }), /Allow the camera/);
  assert.equal(whyNot({ name: "Other", message: "broken" }), "broken");
});

test("all chosen pictures are dragged with one of them", () => {
  assert.deepEqual(draggedIds("1", new Set(["1", "2"])), ["1", "2"]);
  assert.deepEqual(draggedIds("3", new Set(["1", "2"])), ["3"]);
});
