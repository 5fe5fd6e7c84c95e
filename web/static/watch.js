// Follows one job until it is over: a long poll that costs the server little.

import { ask } from "./api.js";

//: Seconds that the server may hold an answer back; a waiting job's place in the queue is asked for more often.
const WAIT_S = 20;
const QUEUED_WAIT_S = 3;
//: Milliseconds between two requests, so that a fast job is not asked about at every chunk.
const PAUSE_MS = 500;
//: The same in a tab that nobody sees, which also must not hold a connection of the browser's few.
const HIDDEN_PAUSE_MS = 5000;
const RETRY_MS = [1000, 2000, 4000, 8000];

/**
 * Call `onJob` with the Job at every change until it is done, and `onTrouble` with a Problem when it cannot be asked.
 * Ends with the job, with `signal`, or by throwing a Problem that will not pass (the job was deleted).
 * @param {string} id @param {(job: object) => void} onJob @param {(problem: Error) => void} onTrouble
 * @param {AbortSignal} signal
 */
export async function watch(id, onJob, onTrouble, signal) {
  let known = { job: null, etag: null };
  let failures = 0;
  while (!signal.aborted) {
    try {
      known = await look(id, known, signal);
      failures = 0;
      onJob(known.job);
      if (known.job.done) return;
      await pause(document.hidden ? HIDDEN_PAUSE_MS : PAUSE_MS, signal);
    } catch (problem) {
      if (signal.aborted) return;
      if (!problem.passing) throw problem;
      onTrouble(problem);
      await pause(RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)], signal);
    }
  }
}

/** The job as soon as it differs from the one that is known, with its ETag. */
async function look(id, known, signal) {
  const queued = known.job?.state === "queued";
  const wait = !known.job || document.hidden ? 0 : queued ? QUEUED_WAIT_S : WAIT_S;
  // The place in the queue changes without the ETag.
  const headers = known.etag && !queued ? { "If-None-Match": known.etag } : {};
  const response = await ask(`/v1/jobs/${id}?wait=${wait}`, { headers, signal });
  if (response.status === 304) return known;
  return { job: await response.json(), etag: response.headers.get("ETag") };
}

/** Resolve after so many milliseconds, or at once when aborted. @param {number} ms @param {AbortSignal} signal */
export function pause(ms, signal) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end);
  });
}
