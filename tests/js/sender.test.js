import assert from "node:assert/strict";
import test from "node:test";

import { openJob } from "../../web/static/api.js";
import { assignKeys } from "../../web/static/file-keys.js";
import { Sender } from "../../web/static/sender.js";
import { serve, skipWaiting } from "./service.js";

const JOB = "/v1/jobs/j";

function choicesOf(count, archives = 0) {
  const nameOf = (at) => (at < count ? `${at}.png` : `${at}.zip`);
  const choices = Array.from({ length: count + archives }, (_, at) => ({ file: new File(["12345"], nameOf(at)), name: nameOf(at), archive: at >= count }));
  assignKeys(choices);
  return choices;
}

function senderOf(choices, before = null) {
  const events = { opened: [], arrived: [], waits: [], progress: [] };
  const options = {
    scale: false, open: (id) => openJob({ title: "trip" }, "", id),
    onOpen: (job) => events.opened.push(job), onArrived: (keys) => events.arrived.push(...keys),
    onWait: (problem) => events.waits.push(problem.status), onProgress: (sent) => events.progress.push(sent),
  };
  return { sender: new Sender(choices, options, before), events };
}

/** A service that keeps the names of what arrives; `faults` answer the first requests to add items instead. */
function keeping(faults = [], state = "open") {
  const names = [];
  const requests = serve(({ method, path, body }) => {
    if (!path.endsWith("/items")) return { json: { id: "j", state: method === "GET" ? state : "queued" } };
    const fault = faults.shift();
    if (fault && !fault.lostAnswer) return fault;
    const files = body.getAll("files").map(({ name }) => name);
    names.push(...files);
    if (fault) return "lost";
    return { json: { data: files.map((name) => ({ key: name, state: "queued" })) } };
  });
  return { names, requests, to: (path) => requests.filter((request) => request.path === path) };
}

test("120 files take three requests, in one job, which is closed at the end", async () => {
  const service = keeping();
  const choices = choicesOf(120);
  const { sender, events } = senderOf(choices);
  assert.equal(await sender.run(), "j");
  assert.equal(new Set(service.names).size, 120);
  assert.deepEqual(service.to("/v1/jobs").map(({ body }) => body.metadata), [{ title: "trip" }]);
  assert.equal(service.to(`${JOB}/items`).length, 3);
  assert.equal(service.requests.at(-1).path, `${JOB}/seal`);
  assert.deepEqual(events.opened, ["j"]);
  assert.deepEqual(events.arrived.toSorted(), choices.map(({ key }) => key).toSorted());
  assert.deepEqual(events.progress.at(-1), { files: 120, bytes: 600, originalBytes: 600 });
  assert.deepEqual(JSON.parse(service.to(`${JOB}/items`)[0].body.get("keys")), choices.slice(0, 50).map(({ key }) => key));
});

test("a lost connection is retried with growing pauses", async (t) => {
  const delays = skipWaiting(t);
  keeping(Array.from({ length: 7 }, () => "lost"));
  const { sender, events } = senderOf(choicesOf(1));
  assert.equal(await sender.run(), "j");
  assert.deepEqual(events.waits, Array.from({ length: 7 }, () => 0));
  [1000, 2000, 4000, 8000, 15000, 15000, 15000].forEach((least, at) => assert.ok(delays[at] >= least && delays[at] <= least * 1.25, `${delays[at]}`));
});

test("a retry waits for as long as the service asks", async (t) => {
  const delays = skipWaiting(t);
  keeping([{ status: 429, json: { title: "slow down" }, headers: { "Retry-After": "3600" } }]);
  assert.equal(await senderOf(choicesOf(1)).sender.run(), "j");
  assert.ok(delays[0] >= 3_600_000);
});

test("the request that opens the job keeps its name when it is repeated", async (t) => {
  skipWaiting(t);
  let lost = 2;
  const service = keeping();
  const { fetch } = globalThis;
  globalThis.fetch = (path, options) => (path === "/v1/jobs" && lost-- > 0 ? fetch(path, options).then(() => Promise.reject(new TypeError("lost"))) : fetch(path, options));
  assert.equal(await senderOf(choicesOf(1)).sender.run(), "j");
  assert.equal(new Set(service.to("/v1/jobs").map(({ headers }) => headers["Idempotency-Key"])).size, 1);
});

test("an archive whose answer was lost is sent again under the same name", async (t) => {
  skipWaiting(t);
  const service = keeping([{ lostAnswer: true }]);
  assert.equal(await senderOf(choicesOf(0, 1)).sender.run(), "j");
  const ids = service.to(`${JOB}/items`).map(({ headers }) => headers["Idempotency-Key"]);
  assert.equal(ids.length, 2);
  assert.ok(ids[0]);
  assert.equal(ids[0], ids[1]);
});

test("pictures are sent before archives, each archive alone", async () => {
  const service = keeping();
  await senderOf(choicesOf(2, 2)).sender.run();
  assert.deepEqual(service.to(`${JOB}/items`).map(({ body }) => body.getAll("files").length).toSorted(), [1, 1, 2]);
});

test("a batch that is too large for a proxy is halved", async () => {
  const service = keeping(Array.from({ length: 3 }, () => ({ status: 413 })));
  assert.equal(await senderOf(choicesOf(20)).sender.run(), "j");
  assert.equal(new Set(service.names).size, 20);
  assert.equal(service.names.length, 20);
});

test("a single file that is refused is named, and an empty job is cancelled", async () => {
  const service = keeping([{ status: 413, json: { title: "too large", detail: "over the limit" } }]);
  const { sender } = senderOf(choicesOf(1));
  assert.equal(await sender.run(), null);
  assert.deepEqual(sender.rejected, [{ name: "0.png", reason: "Over the limit." }]);
  assert.equal(service.requests.at(-1).path, `${JOB}/cancel`);
});

test("rejected items are named, but not those that arrived before", async () => {
  serve(({ path }) => path.endsWith("/items")
    ? { json: { data: [{ key: "a", state: "queued" }, { key: "b", state: "rejected", error: { code: "key_conflict" } }, { key: "c", state: "rejected", error: { detail: "too many pixels" } }] } }
    : { json: { id: "j" } });
  const { sender } = senderOf(choicesOf(3));
  assert.equal(await sender.run(), "j");
  assert.deepEqual(sender.rejected, [{ name: "2.png", reason: "too many pixels" }]);
});

test("an upload that goes on sends only what has not arrived", async () => {
  const service = keeping();
  const choices = choicesOf(3);
  const { sender, events } = senderOf(choices, { job: "j", keys: new Set([choices[1].key]) });
  assert.deepEqual(sender.sent, { files: 1, bytes: 0, originalBytes: 5 });
  assert.equal(await sender.run(), "j");
  assert.deepEqual(service.names, ["0.png", "2.png"]);
  assert.equal(service.to("/v1/jobs").length, 0);
  assert.deepEqual(events.progress.at(-1), { files: 3, bytes: 10, originalBytes: 15 });
});

test("a paused upload goes on where it was", async () => {
  // Given an upload whose second and third requests are not answered
  const never = new Promise(() => {});
  const service = keeping([{ lostAnswer: false, json: { data: [] } }, never, never]);
  const { sender, events } = senderOf(choicesOf(120));
  sender.options.onArrived = (keys) => {
    events.arrived.push(...keys);
    if (events.arrived.length === 50) sender.pause();
  };
  await assert.rejects(sender.run(), { name: "AbortError" });
  assert.equal(events.arrived.length, 50);
  // When it goes on, then the rest is sent, and nothing twice
  assert.equal(await sender.run(), "j");
  assert.equal(service.names.length, 70);
  assert.equal(new Set(events.arrived).size, 120);
});

test("a conflict is retried while the job is open, and fails once it is closed", async (t) => {
  skipWaiting(t);
  const conflict = { status: 409, json: { title: "conflict" } };
  keeping([conflict]);
  assert.equal(await senderOf(choicesOf(1)).sender.run(), "j");
  keeping([conflict], "succeeded");
  await assert.rejects(senderOf(choicesOf(1)).sender.run(), { status: 409 });
});

test("any other error stops the upload, and run goes on after it", async () => {
  keeping([{ status: 500, json: { title: "internal" } }]);
  const { sender } = senderOf(choicesOf(60));
  await assert.rejects(sender.run(), { status: 500 });
  assert.equal(await sender.run(), "j");
  assert.equal(sender.sent.files, 60);
});

test("a file that cannot be read any more is left out, and the rest is sent", async (t) => {
  skipWaiting(t);
  const service = keeping(["lost"]);
  const choices = choicesOf(3);
  choices[1].file.slice = () => ({ arrayBuffer: () => Promise.reject(new Error("gone")) });
  const { sender } = senderOf(choices);
  assert.equal(await sender.run(), "j");
  assert.deepEqual(service.names, ["0.png", "2.png"]);
  assert.deepEqual(sender.unreadable, ["1.png"]);
});

test("cancelling while the job is being opened cancels that job", async () => {
  const service = keeping();
  const { sender } = senderOf(choicesOf(1));
  const running = sender.run();
  await sender.cancel();
  await assert.rejects(running, { name: "AbortError" });
  assert.deepEqual(service.requests.map(({ path }) => path), ["/v1/jobs", `${JOB}/cancel`]);
});

test("a picture that was being scaled during a pause is not lost", async (t) => {
  // Given a scaler that does not answer yet
  const waiting = [];
  globalThis.Worker = class {
    postMessage(message) {
      waiting.push(message);
    }

    terminate() {}
  };
  t.after(() => delete globalThis.Worker);
  const service = keeping();
  const choices = choicesOf(3);
  for (const choice of choices) choice.file = new File([new Uint8Array(200 * 1024)], choice.name);
  const { sender } = senderOf(choices);
  sender.options.scale = true;
  const first = sender.run();
  while (waiting.length < 3) await new Promise((resolve) => setImmediate(resolve));
  // When the upload is paused and resumed before it answers
  sender.pause();
  const second = sender.run();
  for (const { port } of waiting) port.postMessage(null);
  // Then every picture arrives
  await assert.rejects(first, { name: "AbortError" });
  assert.equal(await second, "j");
  assert.deepEqual(service.names.toSorted(), ["0.png", "1.png", "2.png"]);
});
