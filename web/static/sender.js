// Uploads many files with a few parallel requests and retries.

import { cancelJob, newId, readJob, sealJob } from "./api.js";
import { archiveBatch, totalBytes, nextBatch, splitBatch, removeUnreadable } from "./batches.js";
import { postParts } from "./multipart.js";
import { Scaler } from "./scaling.js";
import { sleep } from "./watch.js";

const REQUESTS_AT_A_TIME = 3;
//: Milliseconds before each retry; the last value repeats.
const BACKOFF_MS = [1000, 2000, 4000, 8000, 15000];
const TOO_LARGE = 413;
//: Statuses that reject a file; the upload goes on with the others.
const REFUSED = new Set([TOO_LARGE, 415, 422]);

/** One upload. `run` can be called again after an error or a pause, and continues where it stopped. */
export class Sender {
  /**
   * @param {import("./files.js").Choice[]} choices with their keys
   * @param {{scale: boolean, open: (id: string) => Promise<object>, onOpen: (job: string) => void, onArrived: (keys: string[]) => void,
   *   onProgress: (sent: {files: number, bytes: number, originalBytes: number}) => void, onWait: (problem: Error) => void}} options
   *   `open` opens the job, with this idempotency key; `bytes` were sent, `originalBytes` before scaling
   * @param {{job: string, keys: Set<string>} | null} before an upload to resume, and the keys that have arrived
   */
  constructor(choices, options, before = null) {
    const left = before ? choices.filter(({ key }) => !before.keys.has(key)) : choices;
    this.options = options;
    this.total = { files: choices.length, originalBytes: totalBytes(choices) };
    this.sent = { files: choices.length - left.length, bytes: 0, originalBytes: this.total.originalBytes - totalBytes(left) };
    this.pictures = left.filter(({ archive }) => !archive).values();
    this.archives = left.filter(({ archive }) => archive);
    this.returned = []; // batches that were interrupted
    this.shares = new Map();
    this.jobId = before?.job ?? null;
    this.openingId = newId();
    this.opening = null;
    this.filled = before !== null; // whether the job has items
    this.rejected = []; // files that the service rejected, with reasons
    this.unreadable = [];
    this.running = null;
    this.stopping = new AbortController(); // of the latest run; an earlier one has its own
  }

  /**
   * Send the remaining files and return the job's id, or null if every file was rejected.
   * Throw Problem, or AbortError after `pause` or `cancel`.
   * Runs do not overlap: a paused one may still be scaling a picture that the next one sends.
   */
  run() {
    const stopping = (this.stopping = new AbortController());
    this.running = this.running ? this.running.catch(() => this.#run(stopping)) : this.#run(stopping);
    return this.running;
  }

  async #run(stopping) {
    await this.#open(stopping.signal);
    await this.#runLanes(stopping);
    const close = () => (this.filled ? sealJob(this.jobId) : cancelJob(this.jobId));
    await this.#withRetries(close, stopping.signal, ({ retryable }) => retryable);
    return this.filled ? this.jobId : null;
  }

  /** Stop at once. `run` sends interrupted batches again. */
  pause() {
    this.stopping.abort();
  }

  /** Stop and cancel the job, even if it is still being opened. Pictures that have arrived stay in it. */
  async cancel() {
    this.stopping.abort();
    await this.opening?.catch(() => {}); // there is no job to cancel
    if (this.jobId) await cancelJob(this.jobId);
  }

  /** Open the job once. `cancel` does not abort this request, so that no unknown job is left behind. */
  async #open(signal) {
    if (this.jobId) return;
    const open = () => this.options.open(this.openingId);
    this.opening = this.#withRetries(open, signal).then(({ id }) => this.#opened(id));
    await this.opening;
    signal.throwIfAborted();
  }

  #opened(id) {
    this.jobId = id;
    this.options.onOpen(id);
  }

  async #runLanes(stopping) {
    const lanes = Array.from({ length: REQUESTS_AT_A_TIME }, () => this.#lane(stopping));
    const ends = await Promise.allSettled(lanes);
    const problems = ends.filter(({ status }) => status === "rejected").map(({ reason }) => reason);
    if (problems.length) throw problems.find(({ name }) => name !== "AbortError") ?? problems[0];
  }

  async #lane(stopping) {
    const scaler = new Scaler();
    const prepare = (file) => (this.options.scale ? scaler.scale(file) : file);
    let batch = null;
    try {
      while ((batch = await this.#next(prepare, stopping.signal))) await this.#send(batch, stopping.signal);
    } catch (problem) {
      if (batch) this.returned.push(batch);
      stopping.abort(); // the other lanes too
      throw problem;
    } finally {
      scaler.close();
      this.shares.delete(batch);
    }
  }

  async #next(prepare, signal) {
    const batch = this.returned.pop() ?? (await nextBatch(this.pictures, prepare, signal));
    return batch ?? (this.archives.length ? archiveBatch(this.archives.shift()) : null);
  }

  async #send(batch, signal) {
    let items;
    try {
      items = await this.#withRetries(() => this.#post(batch, signal), signal);
    } catch (problem) {
      if (problem.status === TOO_LARGE && batch.parts.length > 1) return this.#sendHalf(batch, signal);
      items = asRejected(batch, problem);
    }
    this.#recordSent(batch, items);
    return undefined;
  }

  /** Send a batch in halves: a proxy may have a lower limit than the service. */
  #sendHalf(batch, signal) {
    this.returned.push(splitBatch(batch));
    return this.#send(batch, signal);
  }

  #recordSent(batch, items) {
    const rejected = rejectedFiles(batch, items);
    this.shares.delete(batch);
    this.sent.files += batch.parts.length;
    this.sent.bytes += batch.bytes;
    this.sent.originalBytes += batch.originalBytes;
    this.rejected.push(...rejected);
    this.filled ||= rejected.length < items.length;
    this.options.onArrived(batch.parts.map(({ key }) => key));
    this.#reportProgress();
  }

  /** Run `work`, and retry it with exponential backoff while its error is retryable. */
  async #withRetries(work, signal, isRetryable = (problem) => this.#isRetryable(problem)) {
    for (let attempt = 0; ; attempt++) {
      signal.throwIfAborted();
      try {
        return await work();
      } catch (problem) {
        if (problem.name === "AbortError" || !(await isRetryable(problem))) throw problem;
        signal.throwIfAborted(); // stopped meanwhile
        this.options.onWait(problem);
        const least = Math.max(BACKOFF_MS[Math.min(attempt, BACKOFF_MS.length - 1)], problem.retryAfter * 1000);
        await sleep(least * (1 + Math.random() / 4), signal);
      }
    }
  }

  /** Whether to retry. A conflict is retryable while the job is open: an earlier attempt is still being processed. */
  async #isRetryable(problem) {
    if (problem.status !== 409) return problem.retryable;
    if (!this.jobId) return true;
    return (await readJob(this.jobId).catch(() => null))?.state === "open";
  }

  /** Send a batch. An unreadable file breaks the whole request, so such files are removed first. */
  async #post(batch, signal) {
    signal.throwIfAborted();
    if (!batch.parts.length) return [];
    // The service assigns the keys of an archive's pictures, so only an idempotency key detects a repeat.
    const id = batch.archive ? `${this.jobId}-${batch.parts[0].key}` : null;
    try {
      return (await postParts(`/v1/jobs/${this.jobId}/items`, formOf(batch), id, (share) => this.#recordShare(batch, share), signal)).data;
    } catch (problem) {
      const lost = problem.status === 0 ? await removeUnreadable(batch) : [];
      if (!lost.length) throw problem;
      this.unreadable.push(...lost);
      return this.#post(batch, signal);
    }
  }

  #recordShare(batch, share) {
    this.shares.set(batch, share);
    this.#reportProgress();
  }

  #reportProgress() {
    const sent = { ...this.sent };
    for (const [batch, share] of this.shares) {
      sent.files += Math.floor(batch.parts.length * share);
      sent.bytes += batch.bytes * share;
      sent.originalBytes += batch.originalBytes * share;
    }
    this.options.onProgress(sent);
  }
}

function formOf({ parts, archive }) {
  const form = new FormData();
  if (!archive) form.append("keys", JSON.stringify(parts.map(({ key }) => key)));
  for (const { file, name } of parts) form.append("files", file, name);
  return form;
}

/** Return a rejected single file as a rejected item. Throw any other problem. */
function asRejected({ parts }, problem) {
  if (parts.length > 1 || !REFUSED.has(problem.status)) throw problem;
  return [{ state: "rejected", error: problem }];
}

/** Return the rejected files of a batch. The items of an archive are named by their keys. */
function rejectedFiles({ parts }, items) {
  const named = parts.length === items.length;
  return items.flatMap(({ key, state, error }, index) =>
    state === "rejected" && !arrivedBefore(error) ? [{ name: named ? parts[index].name : key, reason: error?.detail ?? "rejected" }] : [],
  );
}

/** Whether the same file arrived before, perhaps scaled differently: its key depends on name, size and time. */
const arrivedBefore = (error) => error?.code === "key_conflict";
