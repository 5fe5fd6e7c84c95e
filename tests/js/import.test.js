import assert from "node:assert/strict";
import test from "node:test";

import { serve, skipWaiting } from "./service.js";

/** A stand-in for the page: elements that keep what is set on them, and a tab without any other. */
function openPage() {
  const elements = new Map();
  const element = () => ({ on: {}, addEventListener(name, work) { this.on[name] = work; }, setAttribute() {}, append() {}, replaceChildren() {} });
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

/** Serve imports of one dataset; `hold` delays the answer to the files of the first one. Return the requests, and what each import got. */
function serveImports(hold = null) {
  const sent = {};
  let opened = 0;
  const requests = serve(async ({ method, path, body }) => {
    const id = path.endsWith("/imports") ? `import-${(opened += 1)}` : path.match(/jobs\/([^/?]+)/)?.[1];
    if (path.endsWith("/imports")) sent[id] = { label: body.label, files: 0 };
    if (method === "POST" && path.endsWith("/items")) {
      sent[id].files += JSON.parse(body.get("keys")).length;
      if (id === "import-1") await hold;
    }
    if (/items|results/.test(path)) return { json: { data: Array.from({ length: sent[id].files }, () => ({ state: "succeeded", outcome: "added" })), next: null } };
    return { json: { id, state: "succeeded", done: true, counts: { total: 1, succeeded: 1, failed: 0 } } };
  });
  return { requests, sent };
}

const LIMITS = { maxFileBytes: 1000, maxRequestBytes: 1000, maxItems: 10, junk: /^$/ };

test("what is added during an import waits for its end", async () => {
  const { requests, sent } = serveImports();
  const elements = openPage();
  const { DatasetImport } = await import("../../web/static/dataset-import.js");
  const page = new DatasetImport("things", LIMITS, () => {});
  const added = [[filesOf(1), "mug"], [[], "cup"], [filesOf(2), "glass"]].map(([files, row]) => page.add(files, row, ""));
  assert.equal(elements.get("waiting").hidden, false);
  assert.match(elements.get("waiting").textContent, /^2 more imports wait\. Cancel ends only the current one\.$/);
  await Promise.all(added);
  assert.equal(elements.get("waiting").hidden, true);
  assert.deepEqual(Object.values(sent), [{ label: "mug", files: 1 }, { label: "glass", files: 2 }]);
  const order = requests.map(({ path }) => path).filter((path) => /imports|seal/.test(path));
  assert.deepEqual(order.map((path) => path.split("/").pop()), ["imports", "seal", "imports", "seal"]);
});

test("the end of an import by hand leaves those that wait", async () => {
  let letGo;
  const { requests, sent } = serveImports(new Promise((resolve) => (letGo = resolve)));
  const elements = openPage();
  const { DatasetImport } = await import("../../web/static/dataset-import.js");
  const page = new DatasetImport("things", LIMITS, () => {});
  const added = [page.add(filesOf(1), "mug", ""), page.add(filesOf(2), "glass", "")];
  while (!sent["import-1"]?.files) await new Promise(setImmediate);
  elements.get("stop").on.click();
  await Promise.all(added);
  letGo();
  assert.deepEqual(Object.values(sent), [{ label: "mug", files: 1 }, { label: "glass", files: 2 }]);
  const ends = requests.filter(({ path }) => /cancel|seal/.test(path)).map(({ path }) => path);
  assert.deepEqual(ends, ["/v1/jobs/import-1/cancel", "/v1/jobs/import-2/seal"]);
});
