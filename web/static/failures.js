// The files that could not be classified, with the reasons.

import { readResults, sentence } from "./api.js";
import { byId, element, setText, show } from "./dom.js";
import { plural } from "./format.js";

const PAGE = 50;

/** The list, which is read when somebody opens it, and again when more have failed. */
export class Failures {
  /** @param {string} jobId @param {(problem: Error) => void} onProblem */
  constructor(jobId, onProblem) {
    Object.assign(this, { jobId, onProblem, count: 0, shown: 0, reading: false });
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

  async #read(wanted) {
    if (!byId("failures").open || this.reading) return;
    this.reading = true;
    try {
      // Those without a prediction stand behind all others, where the service finds them at once.
      const page = await readResults(this.jobId, { state: "failed", sort: "score", limit: Math.min(wanted, 1000) });
      byId("failures-rows").replaceChildren(...page.data.map(rowOf));
      this.shown = page.data.length;
      show("failures-more", this.shown < this.count && this.shown < 1000);
    } catch (problem) {
      this.onProblem(problem);
    } finally {
      this.reading = false;
    }
  }
}

function rowOf({ filename, error }) {
  const name = element("th", { scope: "row", class: "file-name" }, filename);
  return element("tr", {}, name, element("td", {}, sentence(error.detail), element("code", {}, error.code)));
}
