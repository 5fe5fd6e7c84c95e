// Groups files into requests of a bearable size.

const BATCH_FILES = 50;
const BATCH_BYTES = 8 * 1024 * 1024;
//: Milliseconds after which a request goes off with what it has, so that work on the first pictures begins at once.
const GATHER_MS = 1000;

/**
 * @typedef {import("./files.js").Choice} Choice
 * @typedef {{file: Blob, name: string, key: string}} Part
 * @typedef {{parts: Part[], archive: boolean, bytes: number, weight: number}} Batch `bytes` travel, of `weight` on this computer
 */

/** The bytes of all files. @param {Choice[]} choices */
export const bytesOf = (choices) => choices.reduce((sum, { file }) => sum + file.size, 0);

/** A batch of one archive, whose pictures cannot have keys of ours. @param {Choice} archive @returns {Batch} */
export const alone = ({ file, name, key }) => ({ parts: [{ file, name, key }], archive: true, bytes: file.size, weight: file.size });

/**
 * Make a batch of the next pictures, as many as there is time for; null where there are none.
 * @param {Iterator<Choice>} pictures @param {(file: File) => Blob | Promise<Blob>} prepare @param {AbortSignal} signal
 * @returns {Promise<Batch | null>}
 */
export async function gather(pictures, prepare, signal) {
  const batch = { parts: [], archive: false, bytes: 0, weight: 0 };
  const end = performance.now() + GATHER_MS;
  while (!isFull(batch) && performance.now() < end && !signal.aborted) {
    const { value: choice, done } = pictures.next();
    if (done) break;
    const prepared = prepare(choice.file);
    const file = prepared instanceof Promise ? await prepared : prepared; // neighbours stay together where none is waited for
    batch.parts.push({ file, name: choice.name, key: choice.key });
    batch.bytes += file.size;
    batch.weight += choice.file.size;
  }
  return batch.parts.length ? batch : null;
}

const isFull = ({ parts, bytes }) => parts.length >= BATCH_FILES || bytes >= BATCH_BYTES;

/** Take the files out of a batch that cannot be read any more, and return their names. @param {Batch} batch */
export async function takeOutUnreadable(batch) {
  const readable = await Promise.all(batch.parts.map(({ file }) => file.slice(0, 1).arrayBuffer().then(() => true, () => false)));
  const names = batch.parts.filter((_, index) => !readable[index]).map(({ name }) => name);
  batch.parts = batch.parts.filter((_, index) => readable[index]);
  return names;
}
