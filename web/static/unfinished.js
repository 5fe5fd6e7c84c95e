// Remembers uploads that are not finished, so that one can be gone on with after the page was loaded again.

import { readJob } from "./api.js";
import { keep, kept } from "./kept.js";

const PREFIX = "darkroom.upload.";

/**
 * @typedef {{job: string, title: string, files: number, folder: boolean, archives: string[], at: number}} Upload
 *   `archives` are the keys of those that have arrived: their pictures have keys of the service
 */

/** @param {Upload} upload */
export const remember = (upload) => keep(PREFIX + upload.job, { ...upload, at: Date.now() });

/** @param {string} job */
export const forget = (job) => keep(PREFIX + job, null);

/** Let other tabs know that this one sends, for as long as it is open. Browsers tell that on HTTPS and this computer only. */
export const claim = (job) => navigator.locks?.request(PREFIX + job, () => new Promise(() => {}));

/**
 * The newest upload that no other tab sends and whose job still takes files, with its Job; null where there is none.
 * @returns {Promise<{upload: Upload, job: object} | null>}
 */
export async function lastUnfinished() {
  const inOtherTabs = new Set((await navigator.locks?.query())?.held.map(({ name }) => name));
  for (const upload of kept(PREFIX).sort((one, other) => other.at - one.at)) {
    if (inOtherTabs.has(PREFIX + upload.job)) continue;
    const job = await readJob(upload.job).catch((problem) => (problem.status === 404 ? null : undefined));
    if (job?.state === "open") return { upload, job };
    if (job !== undefined) forget(upload.job);
  }
  return null;
}
