import assert from "node:assert/strict";
import test from "node:test";

import { Corrections } from "../../web/static/corrections.js";
import { Rows } from "../../web/static/metric-rows.js";
import { Pagination } from "../../web/static/pagination.js";
import { sleep, watch } from "../../web/static/watch.js";
import { serve, skipWaiting } from "./service.js";

/** Follow a job whose requests are answered with `replies`, one after the other. */
async function follow(replies, signal = new AbortController().signal) {
  const requests = serve(() => replies.shift());
  const seen = [];
  const troubles = [];
  await watch("j", (job) => seen.push(job.state), (problem) => troubles.push(problem.status), signal);
  return { seen, troubles, paths: requests.map(({ path }) => path), tags: requests.map(({ headers }) => headers["If-None-Match"]) };
}

const jobIn = (state, done = false) => ({ json: { state, done }, headers: { ETag: `"${state}"` } });

test("a job is followed to its end by long polling", async (t) => {
  const delays = skipWaiting(t);
  const { seen, paths, tags } = await follow([jobIn("queued"), jobIn("queued"), jobIn("running"), { status: 304 }, jobIn("succeeded", true)]);
  assert.deepEqual(seen, ["queued", "queued", "running", "running", "succeeded"]);
  assert.deepEqual(paths.map((path) => path.split("=")[1]), ["0", "3", "3", "20", "20"]);
  assert.deepEqual(tags, [undefined, undefined, undefined, '"running"', '"running"']); // a place in the queue has no ETag
  assert.deepEqual(delays, [500, 500, 500, 500]);
});

test("trouble that may pass is reported and retried with growing pauses", async (t) => {
  const delays = skipWaiting(t);
  const { seen, troubles } = await follow(["lost", { status: 503 }, "lost", "lost", "lost", jobIn("running"), "lost", jobIn("succeeded", true)]);
  assert.deepEqual(seen, ["running", "succeeded"]);
  assert.deepEqual(troubles, [0, 503, 0, 0, 0, 0]);
  assert.deepEqual(delays, [1000, 2000, 4000, 8000, 8000, 500, 1000]);
});

test("a job that was deleted ends with a Problem", async () => {
  await assert.rejects(follow([jobIn("running"), { status: 404, json: { title: "gone" } }]), { status: 404 });
});

test("following ends with its signal", async () => {
  assert.deepEqual((await follow([], AbortSignal.abort())).paths, []);
  const stopping = new AbortController();
  setTimeout(() => stopping.abort(), 10);
  assert.deepEqual((await follow([jobIn("running")], stopping.signal)).seen, ["running"]);
});

test("a sleep ends at once when it is aborted", async () => {
  const stopping = new AbortController();
  const waiting = sleep(3_600_000, stopping.signal);
  stopping.abort();
  await waiting;
});

test("rows are read as they come, and anew after a restart from a checkpoint", async () => {
  let written = [{ n: 1, at: "a" }, { n: 2, at: "a" }];
  serve(({ path }) => ({ json: { data: written.slice(Number(path.split("after=")[1])) } }));
  const rows = new Rows("j");
  await Promise.all([rows.refresh(), rows.refresh()]);
  assert.deepEqual(rows.all.map(({ n }) => n), [1, 2]);
  written.push({ n: 3, at: "a" });
  await rows.refresh();
  assert.deepEqual(rows.all.map(({ n }) => n), [1, 2, 3]);
  written = [{ n: 1, at: "a" }, { n: 2, at: "b" }];
  await rows.refresh();
  assert.deepEqual(rows.all, written);
});

const itemOf = (key, corrected = null) => ({ key, filename: `${key}.png`, corrected_label: corrected });

test("corrections are made one after the other, and undone in reverse", async () => {
  const labels = { a: null, b: null };
  const requests = serve(({ body }) => {
    Object.assign(labels, body.labels);
    return { json: { data: Object.keys(body.labels).map((key) => itemOf(key, labels[key])) } };
  });
  const texts = [];
  const corrections = new Corrections("j", (_, text) => texts.push(text));
  const now = (...keys) => () => keys.map((key) => itemOf(key, labels[key]));
  await Promise.all([corrections.correct(now("a"), "cat"), corrections.correct(now("a", "b"), "dog")]);
  assert.deepEqual(labels, { a: "dog", b: "dog" });
  await corrections.undo();
  assert.deepEqual(labels, { a: "cat", b: null });
  await corrections.undo();
  assert.deepEqual(labels, { a: null, b: null });
  assert.equal(corrections.undoable, false);
  await corrections.undo(); // nothing is left to undo
  assert.equal(requests.length, 4);
  assert.match(texts[0], /a\.png.*cat/);
  assert.match(texts[1], /2 pictures.*dog/);
});

test("a correction that fails cannot be undone, and the next one works", async () => {
  let status = 503;
  serve(() => (status === 200 ? { json: { data: [] } } : { status }));
  const corrections = new Corrections("j", () => {});
  await assert.rejects(corrections.correct(() => [itemOf("a")], "cat"), { status: 503 });
  assert.equal(corrections.undoable, false);
  status = 200;
  await corrections.correct(() => [itemOf("a")], "cat");
  assert.equal(corrections.undoable, true);
});

/** A browser's history, as far as Pagination uses it. */
function openHistory() {
  const entries = [null];
  const listeners = [];
  const window = { at: 0, address: "http://here/list" };
  globalThis.location = { get href() { return window.address; } };
  globalThis.history = {
    get state() { return entries[window.at]; },
    pushState(state) { entries.splice(++window.at, Infinity, state); },
    replaceState(state, _, address) { entries[window.at] = state; window.address = address; },
  };
  globalThis.addEventListener = (_, listener) => listeners.push(listener);
  return { window, entries, go: (steps) => (window.at += steps, listeners.forEach((listener) => listener({ state: entries[window.at] }))) };
}

test("the pagination keeps where each page begins, in the browser's history", () => {
  const { go, window, entries } = openHistory();
  let moves = 0;
  const pagination = new Pagination(() => moves++);
  assert.deepEqual([pagination.start, pagination.index], [null, 0]);
  pagination.forward("c1");
  pagination.forward("c2");
  assert.deepEqual([pagination.start, pagination.index], ["c2", 2]);
  pagination.back();
  assert.deepEqual([pagination.start, pagination.index], ["c1", 1]);
  go(-1);
  assert.deepEqual([pagination.start, pagination.index, moves], ["c2", 2, 4]);
  assert.equal(new Pagination(() => {}).start, "c2"); // as after a reload
  pagination.restart("http://here/list?label=cat");
  assert.deepEqual([pagination.start, window.address], [null, "http://here/list?label=cat"]);
  pagination.back(); // there is no page before the first
  assert.equal(pagination.index, 0);
  entries[window.at] = null; // a link to an anchor of the page makes such an entry
  go(0);
  assert.deepEqual(entries[window.at], { cursors: [null] });
});
