import assert from "node:assert/strict";
import test from "node:test";

import { confusedPairs } from "../../web/static/matrix.js";
import { corners } from "../../web/static/drawn-samples.js";
import { comparison } from "../../web/static/promoting.js";
import { thresholdText } from "../../web/static/threshold.js";
import { wordsOf } from "../../web/static/version-answers.js";
import { changesText, othersText, versionBefore } from "../../web/static/version-changes.js";

test("confused pairs: the most pictures first, then the larger share", () => {
  const pairs = confusedPairs([[8, 2, 0], [1, 3, 0], [2, 0, 2]]);
  assert.deepEqual(pairs.map(({ truth, answer, count, all }) => [truth, answer, count, all]), [[2, 0, 2, 4], [0, 1, 2, 10], [1, 0, 1, 4]]);
  assert.deepEqual(confusedPairs([[3, 0], [0, 0]]), []);
});

test("an answer in words", () => {
  const found = { label: "mug", prediction: { label: "mug", score: 0.9321 }, before: null, unknown: false, picture: { label: "mug" } };
  assert.deepEqual(wordsOf(found), ["right, 93.2\u00a0%"]);
  const wrong = { ...found, prediction: { label: "glass", score: 1 }, before: { label: "mug" }, unknown: true, picture: { label: null } };
  assert.deepEqual(wordsOf(wrong), ["taken for glass, 100.0\u00a0%", "answered unknown", "before: mug", "now labelled with nothing"]);
  assert.deepEqual(wordsOf({ ...found, before: { label: "mug" }, picture: null }), ["right, 93.2\u00a0%"]);
});

test("what a threshold does", () => {
  assert.equal(thresholdText({ score: 0.62, answered: 8, right: 8 }, 10), "From 62\u00a0% on: 8 of 10 (80.0\u00a0%) get an answer, and 8 of 8 (100\u00a0%) of these are right.");
  assert.equal(thresholdText({ score: 0.6137, answered: 0, right: 0 }, 10), "From 61.4\u00a0% on: 0 of 10 (0\u00a0%) get an answer.");
});

test("the version before is the newest earlier one of the same dataset", () => {
  const made = (version, created_at, id = "d", metrics = {}) => ({ version, created_at, dataset: { id }, metrics });
  const now = made("now", "2026-02-02");
  const others = [made("later", "2026-03-01"), now, made("first", "2026-01-01"), made("second", "2026-02-01"), made("other", "2026-02-01", "e"), made("unmeasured", "2026-02-01", "d", null)];
  assert.equal(versionBefore(now, others).version, "second");
  assert.equal(versionBefore(made("first", "2026-01-01"), others), null);
});

test("changes in words", () => {
  assert.equal(changesText(0, 0, 0), "no picture was used to test both.");
  assert.match(changesText(1, 0, 0), /^on 1 test picture .*neither/);
  assert.match(changesText(40, 3, 1), /^on 40 test pictures .*3 are right now that were wrong, and 1 is wrong now that was right\.$/);
});

test("different test pictures are named", () => {
  const tested = (pictures) => ({ dataset: { test: pictures } });
  assert.equal(othersText(12, tested(12), tested(12)), "");
  assert.match(othersText(12, tested(15), tested(12)), /not about the same pictures: .* 15 pictures, .* 12\.$/);
  assert.match(othersText(0, tested(1), tested(1)), /1 picture,/);
});

test("two accuracies are compared in points", () => {
  const [model, champion] = [0.95, 0.9].map((accuracy) => ({ metrics: { accuracy }, dataset: { digest: "d" } }));
  assert.equal(comparison(model, champion), "Accuracy on the test images: 95.00\u00a0% instead of 90.00\u00a0% (+5.00 points).");
  assert.match(comparison(model, { ...champion, dataset: { digest: "e" } }), /measured on other images/);
});

test("a star has corners around its middle, the first one above", () => {
  const star = corners(4, () => 1).map((corner) => corner.map((place) => Math.round(place)));
  assert.deepEqual(star.map(([x, y]) => [x + 0, y + 0]), [[0, -1], [1, 0], [0, 1], [-1, 0]]);
});
