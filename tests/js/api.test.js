import assert from "node:assert/strict";
import test from "node:test";

import * as api from "../../web/static/api.js";
import { serve } from "./service.js";

test("a problem document becomes a Problem", () => {
  const errors = [{ pointer: "/params/epochs", detail: "too many" }];
  const problem = api.parseProblem(422, JSON.stringify({ title: "invalid", detail: "see errors", errors }), null);
  assert.deepEqual([problem.status, problem.title, problem.detail, problem.retryAfter], [422, "Invalid.", "See errors.", 0]);
  assert.deepEqual(problem.errors, errors);
  assert.equal(problem.message, "See errors.");
});

test("any other answer becomes a Problem that names the status", () => {
  for (const text of ["<h1>Bad gateway</h1>", "", "null", "[]"]) assert.match(api.parseProblem(502, text, "7").title, /502/);
  assert.equal(api.parseProblem(502, "", "7").retryAfter, 7);
});

test("only some statuses may pass", () => {
  const retryable = [0, 400, 401, 404, 409, 413, 422, 429, 500, 502, 503, 504].filter((status) => new api.Problem(status, "", "").retryable);
  assert.deepEqual(retryable, [0, 429, 502, 503, 504]);
});

test("sentence capitalizes and ends with a full stop", () => {
  assert.deepEqual(["", " no Redis", "Why?", 5].map(api.sentence), ["", "No Redis.", "Why?", "5."]);
});

test("asQuery leaves out empty parameters", () => {
  assert.equal(api.asQuery({ after: null, limit: 0, name: "a b", state: "", sort: undefined }), "limit=0&name=a+b");
});

test("newId is 128 random bits", () => {
  assert.match(api.newId(), /^[0-9a-f]{32}$/);
  assert.notEqual(api.newId(), api.newId());
});

test("imageAddress escapes the key", () => {
  assert.equal(api.imageAddress("j", "a/b?c"), "/v1/jobs/j/items/a%2Fb%3Fc/image");
  assert.equal(api.imageAddress("j", "k", true), "/v1/jobs/j/items/k/image?size=thumb");
});

test("ask throws a Problem for an error and for a lost connection", async () => {
  serve(() => ({ status: 503, json: { title: "busy" }, headers: { "Retry-After": "3" } }));
  await assert.rejects(api.readJob("x"), { status: 503, title: "Busy.", retryAfter: 3 });
  serve(() => "lost");
  await assert.rejects(api.readJob("x"), { status: 0 });
});

test("an aborted request is an AbortError, not a Problem", async () => {
  serve(() => ({ json: {} }));
  await assert.rejects(api.readJobs({}, AbortSignal.abort()), { name: "AbortError" });
});

test("a session that has ended leads to the sign-in page and back", async () => {
  serve(() => ({ status: 401, json: { title: "unauthorized" } }));
  const visited = [];
  globalThis.location = { pathname: "/jobs", search: "?state=failed", assign: (address) => visited.push(address) };
  await assert.rejects(api.readJob("x"), { status: 401 });
  assert.deepEqual(visited, ["/sign-in?next=%2Fjobs%3Fstate%3Dfailed"]);
});

test("a signed-in page sends its CSRF token", async () => {
  const requests = serve(() => ({ json: {} }));
  globalThis.document.querySelector = () => ({ content: "token" });
  await api.sealJob("x");
  assert.equal(requests[0].headers["X-CSRF-Token"], "token");
});

test("readArrivedKeys follows the pages to the last", async () => {
  const pages = { "": { data: [{ key: "a" }], next: "1" }, 1: { data: [{ key: "b" }], next: null } };
  serve(({ path }) => ({ json: pages[new URLSearchParams(path.split("?")[1]).get("after") ?? ""] }));
  assert.deepEqual(await api.readArrivedKeys("x"), new Set(["a", "b"]));
});

test("a promotion names the champion that was seen", async () => {
  const requests = serve(() => ({ json: { champion: { version: "b" } }, headers: { ETag: '"2"' } }));
  assert.deepEqual(await api.promoteModel("cifar10", "b", '"1"'), { champion: { version: "b" }, etag: '"2"' });
  assert.equal(requests[0].headers["If-Match"], '"1"');
});

test("hasTrainWorker is false only if the train queue lacks a worker", async () => {
  const answerOf = async (reply) => (serve(() => reply), api.hasTrainWorker());
  const workers = (ok, detail = "") => ({ json: { checks: { workers: { ok, detail } } } });
  assert.equal(await answerOf(workers(true)), true);
  assert.equal(await answerOf(workers(false, "no worker was seen lately for: bulk")), true);
  assert.equal(await answerOf({ ...workers(false, "no worker was seen lately for: bulk, train"), status: 503 }), false);
  assert.equal(await answerOf("lost"), null);
});
