// What became of the pictures of an import.

import { readResults } from "./api.js";
import { number, plural } from "./format.js";

//: Items of one request, and outcomes that are kept to be listed.
const PAGE = 1000;
const LISTED = 500;

/** The outcomes of a job so far. The cursor stays valid while the job runs, so each item is read once. */
export class Outcomes {
  /** @param {string} jobId */
  constructor(jobId) {
    Object.assign(this, { jobId, after: null, counts: { added: 0, present: 0, conflict: 0, failed: 0, cancelled: 0 }, conflicts: [] });
  }

  /** Read what is new. @param {AbortSignal} signal */
  async read(signal) {
    for (let more = true; more; ) {
      const { data, next } = await readResults(this.jobId, { after: this.after, limit: PAGE }, signal);
      data.forEach((item) => this.#add(item));
      more = data.length > 0 && next !== this.after;
      this.after = next ?? this.after;
      if (next === null) more = false;
    }
  }

  #add(item) {
    this.counts[item.outcome ?? item.state] += 1;
    if (item.outcome === "conflict" && this.conflicts.length < LISTED) this.conflicts.push(item);
  }
}

/** Return the outcomes in words: "40 pictures added, 2 were there already." @param {Record<string, number>} counts */
export function outcomeWords({ added, present, conflict, failed, cancelled }) {
  const words = [`${plural(added, "picture")} added`];
  if (present) words.push(`${number(present)} ${present === 1 ? "was" : "were"} there already`);
  if (conflict) words.push(`${number(conflict)} ${conflict === 1 ? "has" : "have"} another label in the dataset`);
  if (failed) words.push(`${number(failed)} failed`);
  if (cancelled) words.push(`${number(cancelled)} cancelled`);
  return `${words.join(", ")}.`;
}
