// Follows the job of a page, restarts after an action, and says when the job is gone.

import { element, notice, show } from "./dom.js";
import { watch } from "./watch.js";

/** Follows one job. `lost` is true while the page shows a lost connection; `signal` aborts when following restarts. */
export class Follower {
  /**
   * @param {string} id @param {(job: object) => void} onJob @param {(problem: Error) => void} onTrouble
   * @param {string[]} buttons ids of the buttons to hide when the job is gone
   */
  constructor(id, onJob, onTrouble, buttons) {
    Object.assign(this, { id, onJob, onTrouble, buttons });
    this.lost = false;
    this.ending = new AbortController();
  }

  get signal() {
    return this.ending.signal;
  }

  /** Follow the job until it is done. An earlier run ends. */
  async start() {
    this.ending.abort();
    this.ending = new AbortController();
    try {
      await watch(this.id, (job) => this.#update(job), this.onTrouble, this.signal);
    } catch (problem) {
      this.#showGone(problem);
    }
  }

  /** Change the job, show the result, and keep following. @param {(id: string) => Promise<object>} work */
  async change(work) {
    const job = await work(this.id);
    this.#update(job);
    if (!job.done) this.start();
  }

  /** Call when the service has answered: the notice of a lost connection is removed. */
  answered() {
    if (this.lost) notice(null);
    this.lost = false;
  }

  #update(job) {
    this.answered();
    this.onJob(job);
  }

  #showGone(problem) {
    const deleted = problem.status === 404;
    const text = deleted ? "It was deleted or has expired." : problem.detail;
    notice(deleted ? "This job no longer exists." : problem.title, text, " ", element("a", { href: "/jobs" }, "See all jobs"));
    for (const name of this.buttons) show(name, false);
  }
}
