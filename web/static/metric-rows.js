// The metric rows of a training, loaded as they are written.

import { readRows } from "./api.js";

/** All metric rows of a job so far. */
export class Rows {
  /** @param {string} jobId */
  constructor(jobId) {
    Object.assign(this, { jobId, all: [], reading: null });
  }

  /** Load new rows. A call during a load waits for that one. @param {AbortSignal} signal */
  async refresh(signal) {
    this.reading ??= this.#read(signal).finally(() => (this.reading = null));
    return this.reading;
  }

  async #read(signal) {
    for (let more = true; more; ) {
      // The last row is read again, because a training that resumes from a checkpoint rewrites its rows.
      const { data } = await readRows(this.jobId, Math.max(0, this.all.length - 1), signal);
      const last = this.all.at(-1);
      const [again, ...fresh] = last ? data : [null, ...data];
      if (last && again?.at !== last.at) {
        this.all = [];
        continue;
      }
      this.all.push(...fresh);
      more = fresh.length > 0;
    }
  }
}
