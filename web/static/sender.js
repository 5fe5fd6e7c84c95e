// Sends many files: a few requests at a time, each as often as it takes.

import { Problem, cancelJob, openJob, sealJob } from "./api.js";
import { asOne, bytesOf, fitsInOne, inBatches, takeOutUnreadable } from "./batches.js";
import { postForm } from "./form.js";
import { pause } from "./watch.js";

const REQUESTS_AT_A_TIME = 3;
//: Milliseconds before a request is repeated; after the last the upload stops, and can be gone on with.
const BACKOFF_MS = [1000, 2000, 4000, 8000, 15000];

/** One upload. `run` can be called again after it threw, and goes on where it was. */
export class Sender {
  /**
   * @param {import("./files.js").Choice[]} choices
   * @param {{title: string, maxRequestBytes: number, onProgress: (sent: {files: number, bytes: number}) => void,
   *   onWait: (problem: Error | null) => void}} options
   */
  constructor(choices, options) {
    this.options = options;
    this.total = { files: choices.length, bytes: bytesOf(choices) };
    this.metadata = options.title ? { title: options.title } : null;
    this.whole = fitsInOne(choices, options.maxRequestBytes) ? asOne(choices) : null;
    this.waiting = this.whole ? [] : inBatches(choices);
    this.sent = { files: 0, bytes: 0 };
    this.shares = new Map();
    this.jobId = null;
    this.opening = null;
    this.rejected = []; // what the service did not add to the job, with its reasons
    this.unreadable = [];
    this.stopping = new AbortController();
  }

  /** Send what is not sent yet and return the job's id. Throws Problem, or AbortError after `cancel`. */
  async run() {
    this.stopping = new AbortController();
    if (this.whole) return this.#sendWhole(this.whole);
    await this.#open();
    await this.#sendBatches();
    await this.#patiently(() => sealJob(this.jobId));
    return this.jobId;
  }

  /** Stop sending. The job is cancelled, one that is just being opened too; what had arrived stays with it. */
  async cancel() {
    this.stopping.abort();
    await this.opening?.catch(() => {}); // then there is none to cancel
    if (this.jobId) await cancelJob(this.jobId);
  }

  /** Open the job, once. The request is not cut off by `cancel`: the job might be there, and nobody would know. */
  async #open() {
    if (this.jobId) return;
    this.opening = this.#patiently(() => openJob(this.metadata)).then(({ id }) => (this.jobId = id));
    await this.opening;
    this.stopping.signal.throwIfAborted();
  }

  async #sendWhole(batch) {
    const fields = this.metadata ? { metadata: JSON.stringify(this.metadata) } : {};
    // What got no answer may have arrived: a repeat would be a second job, so that is left to the person.
    const job = await this.#patiently(() => this.#post("/v1/jobs", batch, fields), (problem) => problem.status === 503);
    this.jobId = job.id;
    return job.id;
  }

  async #sendBatches() {
    let failure = null;
    const lane = async () => {
      while (this.waiting.length && !failure) {
        const batch = this.waiting.shift();
        try {
          await this.#sendBatch(batch);
        } catch (problem) {
          this.waiting.unshift(batch);
          failure ??= problem;
          this.stopping.abort();
        }
        this.shares.delete(batch);
        this.#tell();
      }
    };
    await Promise.all(Array.from({ length: REQUESTS_AT_A_TIME }, lane));
    if (failure) throw failure;
  }

  async #sendBatch(batch) {
    const bytes = bytesOf(batch.files);
    const files = batch.files.length;
    const answer = await this.#patiently(
      () => this.#post(`/v1/jobs/${this.jobId}/items`, batch, batch.keys ? { keys: JSON.stringify(batch.keys) } : {}),
      (problem) => problem.passing && batch.keys !== null,
    );
    this.shares.delete(batch);
    this.sent.files += files;
    this.sent.bytes += bytes;
    this.rejected.push(...rejectedOf(batch, answer.data));
  }

  /** Do it, again and again where that is `allowed`, with longer and longer pauses. */
  async #patiently(work, allowed = (problem) => problem.passing) {
    for (let attempt = 0; ; attempt++) {
      this.stopping.signal.throwIfAborted();
      try {
        return await work();
      } catch (problem) {
        if (problem.name === "AbortError" || !allowed(problem) || attempt === BACKOFF_MS.length) throw problem;
        this.options.onWait(problem);
        const least = Math.max(BACKOFF_MS[attempt], problem.retryAfter * 1000);
        await pause(least * (1 + Math.random() / 4), this.stopping.signal);
        this.options.onWait(null);
      }
    }
  }

  /** Send a batch. One unreadable file breaks a whole request, so such files are taken out and the rest is sent. */
  async #post(path, batch, fields) {
    const send = (parts) =>
      postForm(path, batch, parts, (share) => this.#partly(batch, share), this.stopping.signal);
    try {
      return await send(fields);
    } catch (problem) {
      const lost = problem.status === 0 ? await takeOutUnreadable(batch) : [];
      if (!lost.length) throw problem;
      this.unreadable.push(...lost);
      if (batch.files.length) return send(batch.keys ? { keys: JSON.stringify(batch.keys) } : fields);
      if (!this.whole) return { data: [] };
      throw new Problem(1, "None of the files can be read any more.", "Choose them again.");
    }
  }

  #partly(batch, share) {
    this.shares.set(batch, share);
    this.#tell();
  }

  #tell() {
    const sent = { ...this.sent };
    for (const [batch, share] of this.shares) {
      sent.files += Math.floor(batch.files.length * share);
      sent.bytes += bytesOf(batch.files) * share;
    }
    this.options.onProgress(sent);
  }
}

/** What of a batch the service did not add, by name where names fit: an archive's answer is about its pictures. */
function rejectedOf(batch, items) {
  const named = batch.files.length === items.length;
  return items.flatMap(({ key, state, error }, index) =>
    state === "rejected" ? [{ name: named ? batch.files[index].name : key, reason: error?.detail ?? "refused" }] : [],
  );
}
