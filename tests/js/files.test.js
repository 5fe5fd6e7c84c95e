import assert from "node:assert/strict";
import test from "node:test";

import { archiveBatch, totalBytes, nextBatch, splitBatch, removeUnreadable } from "../../web/static/batches.js";
import { fromDrop, fromInput, checkFiles, titleOfFiles, tooManyFiles } from "../../web/static/files.js";
import { kindOf, kindsOf } from "../../web/static/file-types.js";
import { assignKeys } from "../../web/static/file-keys.js";

const PNG = "\x89PNG\r\n\x1a\n";
const LIMITS = { maxFileBytes: 1000, maxRequestBytes: 5000, maxItems: 3, junk: /^__MACOSX\/|(^|\/)(@eaDir\/|\._[^/]*$)/i };
const bytesFrom = (head, length = head.length) => Uint8Array.from({ length }, (_, at) => head.charCodeAt(at) || 0);
const fileOf = (name, head = PNG, length = 100) => new File([bytesFrom(head, length)], name, { lastModified: 1 });
const choiceOf = (name, head, length) => ({ file: fileOf(name, head, length), name, key: name, archive: false });
const unreadable = () => Object.assign(fileOf("gone.png"), { slice: () => ({ arrayBuffer: () => Promise.reject(new Error("gone")) }) });

test("the first bytes tell pictures from archives and anything else", () => {
  const pictures = ["\xff\xd8\xff\xe0", PNG, "GIF89a", "II*\0", "MM\0+", "BM", "RIFF....WEBP", "\0\0\0\x18ftypavif", "\0\0\0\x18ftypheic", "\0\0\0\x18ftypmif1"];
  const archives = ["PK\x03\x04", "\x1f\x8b\x08", "BZh9", "\xfd7zXZ\0", "\x28\xb5\x2f\xfd", `${"\0".repeat(257)}ustar`];
  const others = ["", "only text", "RIFF....WAVE", "\0\0\0\x18ftypisom", "%!PS", "%PDF-1.7", "8BPS"];
  for (const head of pictures) assert.equal(kindOf(head), "picture", head);
  for (const head of archives) assert.equal(kindOf(head), "archive", head);
  for (const head of others) assert.equal(kindOf(head), null, head);
});

test("kindsOf keeps the order, reports progress and marks unreadable files", async () => {
  const files = [...Array.from({ length: 64 }, () => fileOf("a.png")), null, unreadable(), fileOf("a.txt", "text")];
  const progress = [];
  const kinds = await kindsOf(files, (done) => progress.push(done));
  assert.deepEqual(kinds.slice(63), ["picture", "unreadable", "unreadable", null]);
  assert.deepEqual(progress, [64, 67]);
});

test("checkFiles accepts pictures and archives and gives a reason for each other file", async () => {
  const found = [
    ["a.png", PNG, 100], ["b.zip", "PK\x03\x04", 4000], ["noname", PNG, 10], ["empty.png", "", 0], ["raw.NEF", "II*\0", 100], ["fake.jpg", "text", 4],
    ["notes.txt", "text", 4], ["big.png", PNG, 1001], ["big.zip", "PK\x03\x04", 5001],
  ].map(([name, head, length]) => ({ file: fileOf(name, head, length), name }));
  const { choices, skipped } = await checkFiles([...found, { file: null, name: "gone.png" }], LIMITS);
  assert.deepEqual(choices.map(({ name, archive }) => [name, archive]), [["a.png", false], ["b.zip", true], ["noname", false]]);
  const reasons = Object.fromEntries(skipped.map(({ name, reason }) => [name, reason]));
  assert.deepEqual(Object.keys(reasons), ["empty.png", "raw.NEF", "fake.jpg", "notes.txt", "big.png", "big.zip", "gone.png"]);
  const added = ["trip/@eadir/a.png", "trip/._a.png", "trip/__macosx/a.png", "__MACOSX/a.png"].map((name) => ({ file: fileOf(name), name }));
  assert.deepEqual((await checkFiles(added, LIMITS)).skipped.map(({ reason }) => reason), added.map(() => "added by the system"));
  assert.match(reasons["raw.NEF"], /raw/);
  assert.notEqual(reasons["fake.jpg"], reasons["notes.txt"]);
  assert.match(reasons["big.png"], /1,000 bytes/);
  assert.match(reasons["big.zip"], /4\.9 KB/);
});

test("tooManyFiles names the limit", () => {
  assert.equal(tooManyFiles(Array.from({ length: 3 }), LIMITS), "");
  assert.match(tooManyFiles(Array.from({ length: 4 }), LIMITS), /\b4\b.*\b3\b/);
});

test("titleOfFiles takes the only file or the common folder", () => {
  const titleOf = (...names) => titleOfFiles(names.map((name) => ({ name })));
  assert.equal(titleOf("trip/a.png"), "a.png");
  assert.equal(titleOf("trip/a.png", "trip/below/b.png"), "trip");
  assert.equal(titleOf("trip/a.png", "other/b.png"), "");
  assert.equal(titleOf("a.png", "b.png"), "");
});

test("fromInput keeps the path inside a folder", () => {
  const inFolder = Object.defineProperty(fileOf("a.png"), "webkitRelativePath", { value: "trip/a.png" });
  assert.deepEqual(fromInput([inFolder, fileOf("b.png")]).map(({ name }) => name), ["trip/a.png", "b.png"]);
});

test("fromDrop reads folders a hundred entries at a time and names what cannot be read", async () => {
  const entryOf = (path) => ({ fullPath: path, isDirectory: false, file: (resolve) => resolve(fileOf(path)) });
  const folderOf = (path, entries) => {
    const rest = [...entries];
    return { fullPath: path, isDirectory: true, createReader: () => ({ readEntries: (resolve) => resolve(rest.splice(0, 100)) }) };
  };
  const broken = { fullPath: "/trip/odd", isDirectory: true, createReader: () => ({ readEntries: (_, reject) => reject(new Error("denied")) }) };
  const many = Array.from({ length: 250 }, (_, at) => entryOf(`/trip/${at}.png`));
  const items = [folderOf("/trip", [...many, folderOf("/trip/below", [entryOf("/trip/below/last.png")]), broken]), entryOf("/single.png")];
  const found = await fromDrop({ items: items.map((entry) => ({ kind: "file", webkitGetAsEntry: () => entry })) });
  assert.equal(found.length, 253);
  assert.deepEqual(found.slice(-3).map(({ file, name }) => [name, file !== null]), [["trip/below/last.png", true], ["trip/odd", false], ["single.png", true]]);
});

test("a file's key depends on its path, size and time, and is unique in a selection", () => {
  const keysOf = (...choices) => (assignKeys(choices), choices.map(({ key }) => key));
  const one = () => choiceOf("trip/a.png");
  const [key] = keysOf(one());
  assert.match(key, /^[0-9a-f]{16}$/);
  assert.deepEqual(keysOf(one()), [key]);
  assert.deepEqual(keysOf(one(), one(), one()), [key, `${key}-1`, `${key}-2`]);
  const others = [choiceOf("trip/b.png"), choiceOf("trip/a.png", PNG, 101), { ...one(), file: new File(["x".repeat(100)], "a.png", { lastModified: 2 }) }];
  assert.equal(new Set([key, ...keysOf(...others)]).size, 4);
});

const { signal } = new AbortController();
const asIs = (file) => file;

test("nextBatch makes batches of at most 50 files and about 8 MB", async () => {
  const small = Array.from({ length: 120 }, (_, at) => choiceOf(`${at}.png`)).values();
  const sizes = [];
  for (let batch; (batch = await nextBatch(small, asIs, signal)); ) sizes.push(batch.parts.length);
  assert.equal(Math.max(...sizes), 50);
  assert.equal(sizes.reduce((sum, size) => sum + size), 120);
  const large = Array.from({ length: 4 }, (_, at) => choiceOf(`${at}.png`, PNG, 5 * 1024 * 1024)).values();
  assert.equal((await nextBatch(large, asIs, signal)).parts.length, 2);
});

test("nextBatch sends what it has after a second, and stops when aborted", async () => {
  let now = 0;
  const { now: real } = performance;
  performance.now = () => now;
  try {
    const slow = (file) => Promise.resolve(file).finally(() => (now += 600));
    const pictures = Array.from({ length: 10 }, (_, at) => choiceOf(`${at}.png`)).values();
    assert.equal((await nextBatch(pictures, slow, signal)).parts.length, 2);
    assert.equal(await nextBatch(pictures, slow, AbortSignal.abort()), null);
  } finally {
    performance.now = real;
  }
});

test("a batch counts the bytes on the wire and on this computer", async () => {
  const batch = await nextBatch([choiceOf("a.png", PNG, 900)].values(), () => new Blob(["x".repeat(90)]), signal);
  assert.deepEqual([batch.bytes, batch.originalBytes, batch.archive], [90, 900, false]);
  assert.equal(archiveBatch(choiceOf("b.zip")).archive, true);
  assert.equal(totalBytes([choiceOf("a.png"), choiceOf("b.png", PNG, 50)]), 150);
});

test("splitBatch halves a batch", async () => {
  const batch = await nextBatch(Array.from({ length: 5 }, (_, at) => choiceOf(`${at}`)).values(), asIs, signal);
  const half = splitBatch(batch);
  assert.deepEqual([batch, half].map(({ parts, bytes }) => [parts.map(({ name }) => name).join(""), bytes]), [["012", 300], ["34", 200]]);
});

test("removeUnreadable keeps what can still be read", async () => {
  const batch = { parts: [{ file: unreadable(), name: "gone.png" }, { file: fileOf("a.png"), name: "a.png" }] };
  assert.deepEqual(await removeUnreadable(batch), ["gone.png"]);
  assert.deepEqual(batch.parts.map(({ name }) => name), ["a.png"]);
});
