// Groups files into requests of a limited size.

const BATCH_FILES = 50;
const BATCH_BYTES = 8 * 1024 * 1024;
//: Milliseconds after which a batch is sent even if it is not full, so that classification starts early.
const BATCH_MS = 1000;

/**
 * @typedef {import("./files.js").Choice} Choice
 * @typedef {{file: Blob, name: string, key: string, originalBytes: number}} Part a file as it is sent; `originalBytes` is its size before scaling
 * @typedef {{parts: Part[], archive: boolean, bytes: number, originalBytes: number}} Batch the parts of one request, and their total sizes
 */

/** Return the total size of the files in bytes. @param {Choice[]} choices */
export const totalBytes = (choices) => choices.reduce((sum, { file }) => sum + file.size, 0);

/** @param {Part[]} parts @returns {Batch} */
const batchOf = (parts, archive = false) => ({
  parts,
  archive,
  bytes: parts.reduce((sum, { file }) => sum + file.size, 0),
  originalBytes: parts.reduce((sum, { originalBytes }) => sum + originalBytes, 0),
});

const partOf = (file, { name, key, file: { size } }) => ({ file, name, key, originalBytes: size });

/** Return a batch of one archive. The service assigns the keys of its pictures. @param {Choice} archive */
export const archiveBatch = (archive) => batchOf([partOf(archive.file, archive)], true);

/**
 * Return a batch of the next pictures, or null if none are left.
 * @param {Iterator<Choice>} pictures @param {(file: File) => Blob | Promise<Blob>} prepare @param {AbortSignal} signal
 * @returns {Promise<Batch | null>}
 */
export async function nextBatch(pictures, prepare, signal) {
  const parts = [];
  const end = performance.now() + BATCH_MS;
  let bytes = 0;
  while (parts.length < BATCH_FILES && bytes < BATCH_BYTES && performance.now() < end && !signal.aborted) {
    const { value: choice, done } = pictures.next();
    if (done) break;
    const prepared = prepare(choice.file);
    const file = prepared instanceof Promise ? await prepared : prepared; // without a wait, neighbours stay in one batch
    parts.push(partOf(file, choice));
    bytes += file.size;
  }
  return parts.length ? batchOf(parts) : null;
}

/** Remove the second half of a batch and return it as another batch. @param {Batch} batch */
export function splitBatch(batch) {
  const half = batchOf(batch.parts.slice(Math.ceil(batch.parts.length / 2)));
  Object.assign(batch, batchOf(batch.parts.slice(0, Math.ceil(batch.parts.length / 2))));
  return half;
}

/** Remove files that can no longer be read from a batch, and return their names. @param {Batch} batch */
export async function removeUnreadable(batch) {
  const readable = await Promise.all(batch.parts.map(({ file }) => file.slice(0, 1).arrayBuffer().then(() => true, () => false)));
  const names = batch.parts.filter((_, index) => !readable[index]).map(({ name }) => name);
  batch.parts = batch.parts.filter((_, index) => readable[index]);
  return names;
}
