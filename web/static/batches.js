// Groups files into requests of a bearable size.

const BATCH_FILES = 50;
const BATCH_BYTES = 8 * 1024 * 1024;
//: Milliseconds after which a request goes off with what it has, so that work on the first pictures begins at once.
const GATHER_MS = 1000;

/**
 * @typedef {import("./files.js").Choice} Choice
 * @typedef {{file: Blob, name: string, key: string, weight: number}} Part a file as it travels, of `weight` bytes on this computer
 * @typedef {{parts: Part[], archive: boolean, bytes: number, weight: number}} Batch the parts of one request, and their sums
 */

/** The bytes of all files. @param {Choice[]} choices */
export const bytesOf = (choices) => choices.reduce((sum, { file }) => sum + file.size, 0);

/** @param {Part[]} parts @returns {Batch} */
const batchOf = (parts, archive = false) => ({
  parts,
  archive,
  bytes: parts.reduce((sum, { file }) => sum + file.size, 0),
  weight: parts.reduce((sum, { weight }) => sum + weight, 0),
});

const partOf = (file, { name, key, file: { size } }) => ({ file, name, key, weight: size });

/** A batch of one archive, whose pictures cannot have keys of ours. @param {Choice} archive */
export const alone = (archive) => batchOf([partOf(archive.file, archive)], true);

/**
 * Make a batch of the next pictures, as many as there is time for; null where there are none.
 * @param {Iterator<Choice>} pictures @param {(file: File) => Blob | Promise<Blob>} prepare @param {AbortSignal} signal
 * @returns {Promise<Batch | null>}
 */
export async function gather(pictures, prepare, signal) {
  const parts = [];
  const end = performance.now() + GATHER_MS;
  let bytes = 0;
  while (parts.length < BATCH_FILES && bytes < BATCH_BYTES && performance.now() < end && !signal.aborted) {
    const { value: choice, done } = pictures.next();
    if (done) break;
    const prepared = prepare(choice.file);
    const file = prepared instanceof Promise ? await prepared : prepared; // neighbours stay together where none is waited for
    parts.push(partOf(file, choice));
    bytes += file.size;
  }
  return parts.length ? batchOf(parts) : null;
}

/** Take the second half out of a batch, and make one of it. @param {Batch} batch */
export function splitOff(batch) {
  const half = batchOf(batch.parts.slice(Math.ceil(batch.parts.length / 2)));
  Object.assign(batch, batchOf(batch.parts.slice(0, Math.ceil(batch.parts.length / 2))));
  return half;
}

/** Take the files out of a batch that cannot be read any more, and return their names. @param {Batch} batch */
export async function takeOutUnreadable(batch) {
  const readable = await Promise.all(batch.parts.map(({ file }) => file.slice(0, 1).arrayBuffer().then(() => true, () => false)));
  const names = batch.parts.filter((_, index) => !readable[index]).map(({ name }) => name);
  batch.parts = batch.parts.filter((_, index) => readable[index]);
  return names;
}
