import assert from "node:assert/strict";
import test from "node:test";

import { compact, ago, bytes, duration, number, outcomeOf, percent, plural, precisePercent, rate, significant, signedPoints, stateOf, titleOf, trained, wholePercent } from "../../web/static/format.js";

/** Check a function on pairs of argument and result. */
const table = (name, work, pairs) => test(name, () => pairs.forEach(([given, expected]) => assert.equal(work(given), expected)));

table("number separates thousands", number, [[7, "7"], [12345, "12,345"]]);
table("plural", (count) => plural(count, "picture"), [[0, "0 pictures"], [1, "1 picture"], [1000, "1,000 pictures"]]);
table("percent never rounds to 0 or 100", percent, [[0, "<0.1\u00a0%"], [0.0009, "<0.1\u00a0%"], [0.5, "50.0\u00a0%"], [0.9995, ">99.9\u00a0%"], [1, "100.0\u00a0%"]]);
table("precisePercent", precisePercent, [[0.12345, "12.35\u00a0%"], [0, "0.00\u00a0%"], [null, "–"], [undefined, "–"]]);
table("wholePercent says 100 only of all", wholePercent, [[0.999, "99\u00a0%"], [1, "100\u00a0%"]]);
table("signedPoints", signedPoints, [[0.2, "+20.00"], [-0.0123, "−1.23"], [0, "0.00"], [-0.00001, "0.00"]]);
table("compact rounds to three digits", compact, [[9999, "9,999"], [167562, "168 k"], [1970000, "1.97 M"], [12345678, "12.3 M"]]);
table("significant", significant, [[1.23456, "1.235"], [2, "2"], [Number.NaN, "–"]]);
table("bytes", bytes, [[0, "0 bytes"], [1023, "1,023 bytes"], [1024, "1.0 KB"], [150 * 1024, "150 KB"], [4 * 1024 ** 3, "4.0 GB"], [5 * 1024 ** 5, "5,120 TB"]]);
table("rate", rate, [[0.25, "0.3"], [9.94, "9.9"], [1234.5, "1,235"]]);
table("duration has two units", duration, [[0.01, "<0.1 s"], [9.94, "9.9 s"], [59.6, "1 min 0 s"], [75, "1 min 15 s"], [3600, "1 h 0 min"], [90061, "25 h 1 min"]]);
table("ago", (seconds) => ago(new Date(1e12 - seconds * 1000).toISOString(), 1e12), [
  [-60, "just now"], [44, "just now"], [60, "1 minute ago"], [5 * 3600, "5 hours ago"], [86400, "yesterday"], [3 * 86400, "3 days ago"],
]);
table("outcomeOf", ([succeeded, failed]) => outcomeOf({ state: "succeeded", counts: { succeeded, failed } }).text, [[[3, 0], "Done"], [[3, 1], "Done"], [[0, 4], "All failed"], [[0, 0], "Done"]]);
table("stateOf", (state) => stateOf(state).text, [["open", "Receiving"], ["succeeded", "Done"], ["unheard of", "unheard of"]]);
table("titleOf", titleOf, [
  [{ metadata: { title: " holiday " } }, "holiday"],
  [{ metadata: { title: "x".repeat(200) } }, "x".repeat(120)],
  [{ metadata: { title: 5 }, kind: "classification", counts: { total: 2 } }, "2 pictures"],
  [{ kind: "classification", counts: { total: 0 } }, "No pictures yet"],
  [{ kind: "training", params: { preset: "seed" } }, "Training of seed"],
  [{ kind: "training" }, "Training"],
]);
table("trained", (changes) => trained({ state: "running", done: false, params: { preset: "finetune", epochs: 15 }, ...changes }), [
  [{ progress: 0.469 }, "46\u00a0% of 15 epochs"],
  [{ progress: 1 }, "measuring"],
  [{ progress: 1, params: { preset: "head" } }, "measuring"],
  [{ progress: 1, state: "succeeded", done: true }, "15 epochs"],
]);
