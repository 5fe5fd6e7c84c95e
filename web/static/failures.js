// The list of files that could not be classified.

import { readResults, sentence } from "./api.js";
import { byId, element, setText, show } from "./dom.js";
import { plural } from "./format.js";

const PAGE = 50;
const MOST = 1000;

/** The list of failed files. It is loaded when it is opened, and again when more files fail. */
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

  /** Load the list again, at its current length. */
  #refresh() {
    this.#read(Math.max(PAGE, this.shown));
  }

  #more() {
    this.#read(this.shown + PAGE);
  }

  /** Load the list. Calls during a load cause one more load after it. */
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

  /** Return up to `wanted` failed items. One call may return fewer, since the service skips only a limited number of cancelled items. */
  async #find(wanted) {
    const found = [];
    for (let [after, atEnd] = [null, false]; !atEnd && found.length < wanted; ) {
      // Sorted by score, items without a prediction come last, and the service finds them fast.
      const page = await readResults(this.jobId, { state: "failed", sort: "score", after, limit: wanted - found.length });
      found.push(...page.data);
      atEnd = page.done || page.next === after;
      after = page.next;
    }
    return found;
  }
}

function rowOf({ filename, error }) {
  const name = element("th", { scope: "row", class: "file-name" }, filename);
  return element("tr", {}, name, element("td", {}, sentence(error.detail), element("code", {}, error.code)));
}
