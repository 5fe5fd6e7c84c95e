// Offers to resume an interrupted upload.

import { readArrivedKeys, sealJob } from "./api.js";
import { inQuotes } from "./selection.js";
import { byId, setText } from "./dom.js";
import { ago, number, plural } from "./format.js";
import { forget, lastUnfinished } from "./unfinished.js";

let upload = null;
let keys = null;

/** Look for an interrupted upload, or import into a dataset, and describe it on the page. @param {string | null} dataset */
export async function offer(dataset = null) {
  const found = await lastUnfinished(dataset);
  if (!found) return;
  upload = found.upload;
  keys = null;
  const { total } = found.job.counts;
  setText("interrupted-title", `The ${dataset ? "import" : "upload"}${inQuotes(upload.title)} was interrupted`);
  setText(
    "interrupted-text",
    `${number(total)} of ${plural(upload.files, "file")} arrived ${ago(new Date(upload.at))}. ` +
      `Choose the same ${upload.folder ? "folder" : "files"} again to send only the rest.`,
  );
  setText("resume-text", upload.folder ? "Choose the folder again" : "Choose the files again");
  setText("settle-text", `${dataset ? "Import" : "Classify"} only ${total === 1 ? "this picture" : `these ${number(total)}`}`);
  byId("resume").onclick = () => byId(upload.folder ? "pick-folder" : "pick-files").click();
}

/** Whether there is an interrupted upload. */
export const isOffered = () => upload !== null;

/**
 * Return the interrupted upload with the keys that have arrived, if any of these files belong to it; otherwise null.
 * @param {any[]} choices
 * @returns {Promise<(import("./unfinished.js").Upload & {keys: Set<string>, there: number}) | null>} `there` is how many have arrived
 */
export async function findInterrupted(choices) {
  if (!upload) return null;
  keys ??= new Set([...(await readArrivedKeys(upload.job)), ...upload.archives]);
  const there = choices.filter(({ key }) => keys.has(key)).length;
  return there ? { ...upload, keys, there } : null;
}

/** Stop offering to resume this job. @param {string} job */
export function done(job) {
  forget(job);
  if (upload?.job === job) upload = null;
}

/** Close the job with the pictures that have arrived. */
export async function settle() {
  const { job } = upload;
  await sealJob(job).catch((problem) => problem.status === 409 || Promise.reject(problem)); // it was sealed elsewhere
  done(job);
  location.assign(`/result/${job}`);
}
