// The rows of a training, read as they come.

import { readRows } from "./api.js";

/** All rows that a job has so far. */
export class Rows {
  /** @param {string} jobId */
  constructor(jobId) {
    Object.assign(this, { jobId, all: [], reading: null });
  }

  /** Read what is new. A call while a read is under way waits for that one. @param {AbortSignal} signal */
  async refresh(signal) {
    this.reading ??= this.#read(signal).finally(() => (this.reading = null));
    return this.reading;
  }

  async #read(signal) {
    for (let more = true; more; ) {
      // The last row is read again: a training that goes on from its checkpoint writes its rows anew.
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
