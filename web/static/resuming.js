// Offers to go on with an upload that an earlier visit began.

import { readKeys, sealJob } from "./api.js";
import { quoted } from "./chosen.js";
import { byId, setText } from "./dom.js";
import { ago, number, plural } from "./format.js";
import { forget, lastUnfinished } from "./unfinished.js";

let upload = null;
let keys = null;

/** Look for one, and write down what is known of it. */
export async function offer() {
  const found = await lastUnfinished();
  if (!found) return;
  upload = found.upload;
  const { total } = found.job.counts;
  setText("interrupted-title", `The upload${quoted(upload.title)} was interrupted`);
  setText(
    "interrupted-text",
    `${plural(total, "picture")} arrived ${ago(new Date(upload.at))}, of ${plural(upload.files, "file")}. ` +
      `Choose the same ${upload.folder ? "folder" : "files"} again, and only the rest is sent.`,
  );
  setText("resume-text", upload.folder ? "Choose the folder again" : "Choose the files again");
  setText("settle-text", `Finish with ${total === 1 ? "this one" : `these ${number(total)}`}`);
  byId("resume").addEventListener("click", () => byId(upload.folder ? "pick-folder" : "pick-files").click());
}

/** Whether there is one. */
export const isOffered = () => upload !== null;

/**
 * The upload that was interrupted, if any of these files is of it, with the keys of what has arrived.
 * @param {any[]} choices
 * @returns {Promise<(import("./unfinished.js").Upload & {keys: Set<string>, there: number}) | null>} `there` of them have arrived
 */
export async function belongsTo(choices) {
  if (!upload) return null;
  keys ??= new Set([...(await readKeys(upload.job)), ...upload.archives]);
  const there = choices.filter(({ key }) => keys.has(key)).length;
  return there ? { ...upload, keys, there } : null;
}

/** This job is no upload to go on with any more. @param {string} job */
export function done(job) {
  forget(job);
  if (upload?.job === job) upload = null;
}

/** Leave it at what has arrived. */
export async function settle() {
  const { job } = upload;
  await sealJob(job).catch((problem) => problem.status === 409 || Promise.reject(problem)); // it was sealed elsewhere
  done(job);
  location.assign(`/result/${job}`);
}
