// Remembers unfinished uploads, so that one can be resumed after a reload.

import { readJob } from "./api.js";
import { save, loadAll } from "./storage.js";
import { sleep } from "./watch.js";

const PREFIX = "darkroom.upload.";
//: Milliseconds that other tabs have to answer.
const ANSWER_MS = 500;
const QUESTION = "which job?";
const tabs = new BroadcastChannel("darkroom.uploads"); // Web Locks are missing on plain HTTP

/**
 * @typedef {{job: string, title: string, files: number, folder: boolean, archives: string[], at: number, dataset?: string, label?: string | null}} Upload
 *   `dataset` and `label` are those of an import;
 *   `archives` are the keys of archives that have arrived; the service assigns the keys of their pictures
 */

/** Remember an upload. @param {Upload} upload */
export const remember = (upload) => save(PREFIX + upload.job, { ...upload, at: Date.now() });

/** Forget an upload. @param {string} job */
export const forget = (job) => save(PREFIX + job, null);

/** Answer other tabs that this tab sends the job. @param {string} job */
export const claim = (job) => tabs.addEventListener("message", ({ data }) => data === QUESTION && tabs.postMessage(job));

/** Return the jobs that other tabs send. @returns {Promise<Set<string>>} */
async function inOtherTabs() {
  const jobs = new Set();
  const note = ({ data }) => jobs.add(data);
  tabs.addEventListener("message", note);
  tabs.postMessage(QUESTION);
  await sleep(ANSWER_MS);
  tabs.removeEventListener("message", note);
  return jobs;
}

/**
 * Return the newest unfinished upload to classify, or import into a dataset, with its Job: no other tab sends it, the job is open, and files have arrived.
 * Return null if there is none. Throw Problem if the service is unavailable.
 * @param {string | null} dataset
 * @returns {Promise<{upload: Upload, job: object} | null>}
 */
export async function lastUnfinished(dataset) {
  const uploads = loadAll(PREFIX).filter((upload) => (upload.dataset ?? null) === dataset).toSorted((one, other) => other.at - one.at);
  const theirs = uploads.length ? await inOtherTabs() : new Set();
  for (const upload of uploads.filter(({ job }) => !theirs.has(job))) {
    const job = await readIfThere(upload.job);
    if (job?.state === "open" && job.counts.total) return { upload, job };
    if (job && job.state !== "open") forget(upload.job);
  }
  return null;
}

async function readIfThere(id) {
  try {
    return await readJob(id);
  } catch (problem) {
    if (problem.retryable) throw problem;
    if (problem.status === 404) forget(id);
    return null;
  }
}
