// Sends many files: a few requests at a time, each as often as it takes.

import { cancelJob, newId, openJob, readJob, sealJob } from "./api.js";
import { alone, bytesOf, gather, splitOff, takeOutUnreadable } from "./batches.js";
import { postParts } from "./form.js";
import { Scaler } from "./scaling.js";
import { pause } from "./watch.js";

const REQUESTS_AT_A_TIME = 3;
//: Milliseconds before a request is repeated; the last one counts for all further ones.
const BACKOFF_MS = [1000, 2000, 4000, 8000, 15000];
const TOO_LARGE = 413;
//: Answers that say that the file is no good, which is no reason to keep others back.
const REFUSED = new Set([TOO_LARGE, 415, 422]);

/** One upload. `run` can be called again after it threw or was paused, and goes on where it was. */
export class Sender {
  /**
   * @param {import("./files.js").Choice[]} choices with their keys
   * @param {{scale: boolean, metadata: object, onOpen: (job: string) => void, onArrived: (keys: string[]) => void,
   *   onProgress: (sent: {files: number, bytes: number, weight: number}) => void, onWait: (problem: Error) => void}} options
   *   `bytes` travelled, of a `weight` of bytes on this computer
   * @param {{job: string, keys: Set<string>} | null} before an upload to go on with, and what has arrived of it
   */
  constructor(choices, options, before = null) {
    const left = before ? choices.filter(({ key }) => !before.keys.has(key)) : choices;
    this.options = options;
    this.total = { files: choices.length, weight: bytesOf(choices) };
    this.sent = { files: choices.length - left.length, bytes: 0, weight: this.total.weight - bytesOf(left) };
    this.pictures = left.filter(({ archive }) => !archive).values();
    this.archives = left.filter(({ archive }) => archive);
    this.returned = []; // batches that were on their way when it stopped
    this.shares = new Map();
    this.jobId = before?.job ?? null;
    this.openingId = newId();
    this.opening = null;
    this.filled = before !== null; // whether there is anything in the job
    this.rejected = []; // what the service did not add to the job, with its reasons
    this.unreadable = [];
    this.running = null;
    this.stopping = new AbortController(); // of the newest run; an older one has its own
  }

  /**
   * Send what is not sent yet and return the job's id, or null where none of it was any good.
   * Throws Problem, or AbortError after `pause` and `cancel`.
   * One run after the other: a paused one may still have a picture in the scaler, which is for the next one to send.
   */
  run() {
    const stopping = (this.stopping = new AbortController());
    this.running = this.running ? this.running.catch(() => this.#run(stopping)) : this.#run(stopping);
    return this.running;
  }

  async #run(stopping) {
    await this.#open(stopping.signal);
    await this.#inLanes(stopping);
    const close = () => (this.filled ? sealJob(this.jobId) : cancelJob(this.jobId));
    await this.#patiently(close, stopping.signal, ({ passing }) => passing);
    return this.filled ? this.jobId : null;
  }

  /** Stop at once. What is on its way is sent anew by `run`. */
  pause() {
    this.stopping.abort();
  }

  /** Stop for good. The job is cancelled, one that is just being opened too; what had arrived stays with it. */
  async cancel() {
    this.stopping.abort();
    await this.opening?.catch(() => {}); // then there is none to cancel
    if (this.jobId) await cancelJob(this.jobId);
  }

  /** Open the job, once. The request is not cut off by `cancel`: the job might be there, and nobody would know. */
  async #open(signal) {
    if (this.jobId) return;
    const open = () => openJob(this.options.metadata, this.openingId);
    this.opening = this.#patiently(open, signal).then(({ id }) => this.#opened(id));
    await this.opening;
    signal.throwIfAborted();
  }

  #opened(id) {
    this.jobId = id;
    this.options.onOpen(id);
  }

  async #inLanes(stopping) {
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
    const batch = this.returned.pop() ?? (await gather(this.pictures, prepare, signal));
    return batch ?? (this.archives.length ? alone(this.archives.shift()) : null);
  }

  async #send(batch, signal) {
    let items;
    try {
      items = await this.#patiently(() => this.#post(batch, signal), signal);
    } catch (problem) {
      if (problem.status === TOO_LARGE && batch.parts.length > 1) return this.#sendHalf(batch, signal);
      items = refusedAs(batch, problem);
    }
    this.#sentNow(batch, items);
    return undefined;
  }

  /** A proxy in between may take less in one request than the service does. */
  #sendHalf(batch, signal) {
    this.returned.push(splitOff(batch));
    return this.#send(batch, signal);
  }

  #sentNow(batch, items) {
    const rejected = rejectedOf(batch, items);
    this.shares.delete(batch);
    this.sent.files += batch.parts.length;
    this.sent.bytes += batch.bytes;
    this.sent.weight += batch.weight;
    this.rejected.push(...rejected);
    this.filled ||= rejected.length < items.length;
    this.options.onArrived(batch.parts.map(({ key }) => key));
    this.#tell();
  }

  /** Do it, again and again, with longer and longer pauses, for as long as it may still succeed. */
  async #patiently(work, signal, mayPass = (problem) => this.#mayPass(problem)) {
    for (let attempt = 0; ; attempt++) {
      signal.throwIfAborted();
      try {
        return await work();
      } catch (problem) {
        if (problem.name === "AbortError" || !(await mayPass(problem))) throw problem;
        signal.throwIfAborted(); // nobody waits any more
        this.options.onWait(problem);
        const least = Math.max(BACKOFF_MS[Math.min(attempt, BACKOFF_MS.length - 1)], problem.retryAfter * 1000);
        await pause(least * (1 + Math.random() / 4), signal);
      }
    }
  }

  /** A conflict is one with this very request, whose answer got lost while it is still in work; unless the job is closed. */
  async #mayPass(problem) {
    if (problem.status !== 409) return problem.passing;
    if (!this.jobId) return true;
    return (await readJob(this.jobId).catch(() => null))?.state === "open";
  }

  /** Send a batch. One unreadable file breaks a whole request, so such files are taken out and the rest is sent. */
  async #post(batch, signal) {
    signal.throwIfAborted();
    if (!batch.parts.length) return [];
    // An archive's pictures get their keys from the service, so a repeat is known by the request's own name.
    const id = batch.archive ? `${this.jobId}-${batch.parts[0].key}` : null;
    try {
      return (await postParts(`/v1/jobs/${this.jobId}/items`, formOf(batch), id, (share) => this.#partly(batch, share), signal)).data;
    } catch (problem) {
      const lost = problem.status === 0 ? await takeOutUnreadable(batch) : [];
      if (!lost.length) throw problem;
      this.unreadable.push(...lost);
      return this.#post(batch, signal);
    }
  }

  #partly(batch, share) {
    this.shares.set(batch, share);
    this.#tell();
  }

  #tell() {
    const sent = { ...this.sent };
    for (const [batch, share] of this.shares) {
      sent.files += Math.floor(batch.parts.length * share);
      sent.bytes += batch.bytes * share;
      sent.weight += batch.weight * share;
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

/** A single file that is refused, as if it were one item of several. Throws any other problem. */
function refusedAs({ parts }, problem) {
  if (parts.length > 1 || !REFUSED.has(problem.status)) throw problem;
  return [{ state: "rejected", error: problem }];
}

/** What of a batch the service did not add, by name where names fit: an archive's answer is about its pictures. */
function rejectedOf({ parts }, items) {
  const named = parts.length === items.length;
  return items.flatMap(({ key, state, error }, index) =>
    state === "rejected" && !isThere(error) ? [{ name: named ? parts[index].name : key, reason: error?.detail ?? "refused" }] : [],
  );
}

/** Whether the same file arrived before: only its scaling may differ, since its key is made of its name, size and time. */
const isThere = (error) => error?.code === "key_conflict";
