// Follows a job by long polling until it is done.

import { request } from "./api.js";

//: Seconds that the service may delay its answer. A queued job is polled more often for its place in the queue.
const WAIT_S = 20;
const QUEUED_WAIT_S = 3;
//: Milliseconds between two requests, so that a fast job is not polled after every chunk.
const PAUSE_MS = 500;
//: The same in a hidden tab, which also must not hold one of the browser's few connections.
const HIDDEN_PAUSE_MS = 5000;
const RETRY_MS = [1000, 2000, 4000, 8000];

/**
 * Call `onJob` with the Job at every change until it is done, and `onTrouble` with each retryable Problem.
 * Return when the job is done or `signal` aborts. Throw any other Problem, for instance if the job was deleted.
 * @param {string} id @param {(job: object) => void} onJob @param {(problem: Error) => void} onTrouble
 * @param {AbortSignal} signal
 */
export async function watch(id, onJob, onTrouble, signal) {
  let known = { job: null, etag: null };
  let failures = 0;
  while (!signal.aborted) {
    try {
      known = await poll(id, known, signal);
      failures = 0;
      onJob(known.job);
      if (known.job.done) return;
      await sleep(document.hidden ? HIDDEN_PAUSE_MS : PAUSE_MS, signal);
    } catch (problem) {
      if (signal.aborted) return;
      if (!problem.retryable) throw problem;
      onTrouble(problem);
      await sleep(RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)], signal);
    }
  }
}

/** Return the job with its ETag, waiting for a change. */
async function poll(id, known, signal) {
  const queued = known.job?.state === "queued";
  const wait = !known.job || document.hidden ? 0 : queued ? QUEUED_WAIT_S : WAIT_S;
  // A changed place in the queue does not change the ETag.
  const headers = known.etag && !queued ? { "If-None-Match": known.etag } : {};
  const response = await request(`/v1/jobs/${id}?wait=${wait}`, { headers, signal });
  if (response.status === 304) return known;
  return { job: await response.json(), etag: response.headers.get("ETag") };
}

/** Resolve after `ms` milliseconds, or at once when aborted. @param {number} ms @param {AbortSignal} signal */
export function sleep(ms, signal) {
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
