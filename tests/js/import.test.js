import assert from "node:assert/strict";
import test from "node:test";

import { serve, skipWaiting } from "./service.js";

/** A stand-in for the page: elements that keep what is set on them, and a tab without any other. */
function openPage() {
  const elements = new Map();
  const element = () => ({ addEventListener() {}, setAttribute() {}, append() {}, replaceChildren() {} });
  globalThis.document.getElementById = (id) => elements.get(id) ?? elements.set(id, element()).get(id);
  globalThis.document.createElement = globalThis.document.createElementNS = element;
  globalThis.addEventListener = globalThis.removeEventListener = () => {};
  globalThis.BroadcastChannel = class {
    addEventListener() {}
    removeEventListener() {}
    postMessage() {}
  };
  const storage = Object.create({
    setItem: (name, value) => (storage[name] = value), getItem: (name) => storage[name], removeItem: (name) => delete storage[name],
  });
  Object.defineProperty(globalThis, "localStorage", { value: storage, configurable: true });
  return elements;
}

const filesOf = (count) => Array.from({ length: count }, (_, at) => ({ file: new File(["GIF89a"], `${at}.gif`, { lastModified: at }), name: `${at}.gif` }));

test("after an error, the same files finish the same import", async (t) => {
  skipWaiting(t);
  const keys = [];
  const faults = [500, 500];
  const job = () => ({ id: `job-${requests.filter(({ path }) => path.endsWith("/imports")).length}`, state: "open", done: true, counts: { total: keys.length, succeeded: 0, failed: 0 } });
  const requests = serve(({ method, path, body }) => {
    if (method === "POST" && path.endsWith("/items")) keys.push(...JSON.parse(body.get("keys")));
    if (path.endsWith("/seal") && faults.length) return { status: faults.pop(), json: {} };
    if (/items|results/.test(path)) return { json: { data: keys.map((key) => ({ key, state: "pending", outcome: "added" })), next: null } };
    return { json: job() };
  });
  const elements = openPage();
  const { DatasetImport } = await import("../../web/static/dataset-import.js");
  const page = new DatasetImport("things", { maxFileBytes: 1000, maxRequestBytes: 1000, maxItems: 10, junk: /^$/ }, () => {});
  await page.offerResume();
  for (const expected of [1, 1, 1]) {
    await page.add(filesOf(3), null, "");
    assert.equal(requests.filter(({ path }) => path.endsWith("/imports")).length, expected);
    assert.equal(keys.length, 3, "no file is sent twice");
  }
  assert.equal(faults.length, 0);
  assert.equal(elements.get("import-result").hidden, false);
  await page.add(filesOf(4), null, "");
  assert.equal(requests.filter(({ path }) => path.endsWith("/imports")).length, 2, "a finished import is not continued");
});
