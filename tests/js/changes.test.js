import assert from "node:assert/strict";
import test from "node:test";

import { Changes } from "../../web/static/dataset-changes.js";
import { serve } from "./service.js";

/** Return the changes of a page that logs its calls, the log, and the bodies of the requests. */
function begin() {
  const requests = serve(() => ({ json: {} }));
  const calls = [];
  const log = (name) => (...values) => calls.push([name, ...values]);
  const page = { relabel: log("relabel"), hide: log("hide"), changed: log("changed"), failed: log("failed"), reload: async () => {} };
  return { changes: new Changes("fruit", page), calls, bodies: () => requests.map(({ body }) => body) };
}

test("every one of several quick deletions is made, but the last if it is undone", async () => {
  const { changes, calls, bodies } = begin();
  await Promise.all(["1", "2", "3"].map((id) => changes.remove([id])));
  await changes.undo();
  assert.deepEqual(bodies(), [{ pictures: ["1"] }, { pictures: ["2"] }]);
  assert.deepEqual(calls.findLast(([name]) => name === "hide"), ["hide", ["3"], false]);
});

test("the end of a deletion leaves a later change to be undone", async () => {
  const { changes, calls } = begin();
  await changes.remove(["1"]);
  await changes.relabel([{ id: "2", label: null, filename: "2.png" }], "apple");
  await changes.commit();
  assert.deepEqual(calls.findLast(([name]) => name === "changed"), ["changed", null]);
});

test("the end of a deletion that was the last change leaves nothing to say", async () => {
  const { changes, calls } = begin();
  await changes.remove(["1"]);
  await changes.commit();
  assert.deepEqual(calls.findLast(([name]) => name === "changed"), ["changed", ""]);
});
