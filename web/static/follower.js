// What the pages of one job share: following it, again after a button has changed it, and saying that it is gone.

import { element, notice, show } from "./dom.js";
import { watch } from "./watch.js";

/** Follows one job. `lost` says whether the page tells of a lost connection; `signal` ends with what is followed. */
export class Follower {
  /**
   * @param {string} id @param {(job: object) => void} onJob @param {(problem: Error) => void} onTrouble
   * @param {string[]} buttons ids of those that a job that is gone has no use for
   */
  constructor(id, onJob, onTrouble, buttons) {
    Object.assign(this, { id, onJob, onTrouble, buttons });
    this.lost = false;
    this.ending = new AbortController();
  }

  get signal() {
    return this.ending.signal;
  }

  /** Follow the job until it is over, from now on; what was followed before ends. */
  async start() {
    this.ending.abort();
    this.ending = new AbortController();
    try {
      await watch(this.id, (job) => this.#tell(job), this.onTrouble, this.signal);
    } catch (problem) {
      this.#sayGone(problem);
    }
  }

  /** Do something to the job, show it as it is then, and follow what comes. @param {(id: string) => Promise<object>} work */
  async change(work) {
    const job = await work(this.id);
    this.#tell(job);
    if (!job.done) this.start();
  }

  /** The service answers: a lost connection is told of no more. */
  answered() {
    if (this.lost) notice(null);
    this.lost = false;
  }

  #tell(job) {
    this.answered();
    this.onJob(job);
  }

  #sayGone(problem) {
    const deleted = problem.status === 404;
    const text = deleted ? "It was deleted, or its time was over." : problem.detail;
    notice(deleted ? "This job is gone." : problem.title, text, " ", element("a", { href: "/jobs" }, "See all jobs"));
    for (const name of this.buttons) show(name, false);
  }
}
