// The files that could not be classified, with the reasons.

import { readResults, sentence } from "./api.js";
import { byId, element, setText, show } from "./dom.js";
import { plural } from "./format.js";

const PAGE = 50;
const MOST = 1000;

/** The list, which is read when somebody opens it, and again when more have failed. */
export class Failures {
  /** @param {string} jobId @param {(problem: Error) => void} onProblem */
  constructor(jobId, onProblem) {
    Object.assign(this, { jobId, onProblem, count: 0, shown: 0, reading: false, again: 0 });
    byId("failures").addEventListener("toggle", () => this.#refresh());
    byId("failures-more").addEventListener("click", () => this.#more());
  }

  /** @param {object} job */
  update(job) {
    const { failed } = job.counts;
    show("failures", failed > 0);
    show("retry-failed", job.done && failed > 0);
    setText("failures-count", plural(failed, "file"));
    if (failed === this.count) return;
    this.count = failed;
    this.#refresh();
  }

  /** Read the list again, as long as it is. */
  #refresh() {
    this.#read(Math.max(PAGE, this.shown));
  }

  #more() {
    this.#read(this.shown + PAGE);
  }

  /** Calls while a read is under way lead to one more after it. */
  async #read(wanted) {
    this.again = this.reading ? Math.max(this.again, wanted) : 0;
    if (!byId("failures").open || this.reading) return;
    this.reading = true;
    try {
      const found = await this.#find(Math.min(wanted, this.count, MOST));
      byId("failures-rows").replaceChildren(...found.map(rowOf));
      this.shown = found.length;
      show("failures-more", this.shown < Math.min(this.count, MOST));
    } catch (problem) {
      this.onProblem(problem);
    } finally {
      this.reading = false;
    }
    if (this.again) this.#read(this.again);
  }

  /** So many of them; one call may give fewer than there are, since it looks only so far past cancelled ones. */
  async #find(wanted) {
    const found = [];
    for (let [after, over] = [null, false]; !over && found.length < wanted; ) {
      // Those without a prediction stand behind all others, where the service finds them at once.
      const page = await readResults(this.jobId, { state: "failed", sort: "score", after, limit: wanted - found.length });
      found.push(...page.data);
      over = page.done || page.next === after;
      after = page.next;
    }
    return found;
  }
}

function rowOf({ filename, error }) {
  const name = element("th", { scope: "row", class: "file-name" }, filename);
  return element("tr", {}, name, element("td", {}, sentence(error.detail), element("code", {}, error.code)));
}
