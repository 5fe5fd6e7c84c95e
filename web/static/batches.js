// Groups files into requests of a bearable size.

import { newId } from "./api.js";

//: Up to so many files go in one request that is the whole job.
const WHOLE_JOB_FILES = 16;
const BATCH_FILES = 50;
const BATCH_BYTES = 8 * 1024 * 1024;

/**
 * @typedef {import("./files.js").Choice} Choice
 * @typedef {{id: string, files: Choice[], keys: string[] | null}} Batch `id` names the request, so that a repeat is known
 */

/** Whether all of it fits in one request. @param {Choice[]} choices @param {number} maxRequestBytes */
export const fitsInOne = (choices, maxRequestBytes) =>
  choices.length <= WHOLE_JOB_FILES && bytesOf(choices) < maxRequestBytes / 2;

/** The bytes of all files. @param {Choice[]} choices */
export const bytesOf = (choices) => choices.reduce((sum, { file }) => sum + file.size, 0);

/** All files in one batch, without keys. @param {Choice[]} choices @returns {Batch} */
export const asOne = (choices) => ({ id: newId(), files: [...choices], keys: null });

/**
 * Files in batches of one request each. An archive is alone, since its pictures cannot have keys of ours.
 * @param {Choice[]} choices @returns {Batch[]}
 */
export function inBatches(choices) {
  const batches = [];
  let open = null;
  choices.forEach((choice, index) => {
    if (choice.archive) {
      batches.push(asOne([choice]));
      return;
    }
    if (!open || open.files.length === BATCH_FILES || bytesOf(open.files) + choice.file.size > BATCH_BYTES) {
      open = { id: newId(), files: [], keys: [] };
      batches.push(open);
    }
    open.files.push(choice);
    open.keys.push(`f${String(index).padStart(7, "0")}`);
  });
  return batches;
}

/** Take the files out of a batch that cannot be read any more, and return their names. @param {Batch} batch */
export async function takeOutUnreadable(batch) {
  const readable = await Promise.all(batch.files.map(({ file }) => file.slice(0, 1).arrayBuffer().then(() => true, () => false)));
  const names = batch.files.filter((_, index) => !readable[index]).map(({ name }) => name);
  batch.files = batch.files.filter((_, index) => readable[index]);
  batch.keys = batch.keys && batch.keys.filter((_, index) => readable[index]);
  return names;
}
