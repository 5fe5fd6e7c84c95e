// Remembers uploads that are not finished, so that one can be gone on with after the page was loaded again.

import { readJob } from "./api.js";
import { keep, kept } from "./kept.js";
import { pause } from "./watch.js";

const PREFIX = "darkroom.upload.";
//: Milliseconds that the other tabs have to say what they send.
const ANSWER_MS = 500;
const QUESTION = "what do you send?";
const tabs = new BroadcastChannel("darkroom.uploads"); // unlike Web Locks also where the page came over plain HTTP

/**
 * @typedef {{job: string, title: string, files: number, folder: boolean, archives: string[], at: number}} Upload
 *   `archives` are the keys of those that have arrived: their pictures have keys of the service
 */

/** @param {Upload} upload */
export const remember = (upload) => keep(PREFIX + upload.job, { ...upload, at: Date.now() });

/** @param {string} job */
export const forget = (job) => keep(PREFIX + job, null);

/** Tell other tabs that this one sends it, whenever they ask, for as long as this one is open. @param {string} job */
export const claim = (job) => tabs.addEventListener("message", ({ data }) => data === QUESTION && tabs.postMessage(job));

/** The jobs that other tabs send. @returns {Promise<Set<string>>} */
async function inOtherTabs() {
  const jobs = new Set();
  const note = ({ data }) => jobs.add(data);
  tabs.addEventListener("message", note);
  tabs.postMessage(QUESTION);
  await pause(ANSWER_MS);
  tabs.removeEventListener("message", note);
  return jobs;
}

/**
 * The newest upload that no other tab sends, of which something has arrived, and whose job still takes files, with its Job;
 * null where there is none. Throws Problem where the service cannot tell now.
 * @returns {Promise<{upload: Upload, job: object} | null>}
 */
export async function lastUnfinished() {
  const uploads = kept(PREFIX).toSorted((one, other) => other.at - one.at);
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
    if (problem.passing) throw problem;
    if (problem.status === 404) forget(id);
    return null;
  }
}
