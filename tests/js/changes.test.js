import assert from "node:assert/strict";
import test from "node:test";

import { Changes } from "../../web/static/dataset-changes.js";
import { serve } from "./service.js";

/** Return the changes of a page that logs its calls, the log, the requests, and their bodies. @param {string[]} gone pictures that the service does not know */
function begin(gone = []) {
  const requests = serve(({ path, body }) => {
    const ids = body ? Object.keys(body.labels ?? {}).concat(body.pictures ?? []) : [path.split("/").pop()];
    return ids.some((id) => gone.includes(id)) ? { status: 404, json: { title: "Not Found" } } : { json: {} };
  });
  const calls = [];
  const log = (name) => (...values) => calls.push([name, ...values]);
  const page = { relabel: log("relabel"), hide: log("hide"), changed: log("changed"), failed: log("failed"), gone: log("gone"), reload: async () => {} };
  return { changes: new Changes("fruit", page), calls, requests, bodies: () => requests.map(({ body }) => body).filter(Boolean) };
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

const pictures = ["1", "2"].map((id) => ({ id, label: "pear", filename: `${id}.png` }));

test("a picture that was deleted elsewhere leaves the change of the others, and its undo", async () => {
  const gone = [];
  const { changes, calls, bodies } = begin(gone);
  await changes.relabel([pictures[0]], "plum");
  gone.push("2");
  await changes.relabel(pictures, "apple");
  assert.deepEqual(calls.slice(2), [["gone", ["2"], 1], ["relabel", { 1: "apple" }], ["changed", "1 picture: now apple."]]);
  gone.push("1");
  await changes.undo();
  await changes.undo();
  assert.deepEqual(calls.slice(-1), [["changed", ""]]);
  assert.equal(changes.undoable, false);
  assert.ok(!calls.some(([name]) => name === "failed"));
  assert.deepEqual(bodies().slice(1, 3), [{ labels: { 1: "apple", 2: "apple" } }, { labels: { 1: "apple" } }]);
});

test("a deletion that is refused shows the pictures again, after one request: the page may have been left", async () => {
  const { changes, calls, requests } = begin(["1"]);
  await changes.remove(["1", "2"]);
  await changes.commit();
  assert.deepEqual(requests.map(({ body }) => body), [{ pictures: ["1", "2"] }]);
  assert.deepEqual(calls.slice(2).map(([name, ids]) => [name, ids.status ?? ids]), [["hide", ["1", "2"]], ["failed", 404], ["changed", ""]]);
});

test("a change that fails for another reason is not made", async () => {
  const { changes, calls } = begin();
  serve(({ body }) => (body ? { status: 404, json: { title: "Not Found" } } : { json: {} }));
  await assert.rejects(changes.relabel(pictures, "apple"), { status: 404 });
  assert.deepEqual(calls, []);
});
