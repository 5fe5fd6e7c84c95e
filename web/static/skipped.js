// The list of files in archives that were skipped, and how names in archives were read.

import { readSkipped } from "./api.js";
import { byId, element, setText, show } from "./dom.js";
import { plural } from "./format.js";

const MOST = 500;

/** Return how names in archives were read, and what to do if that is wrong. @param {string[]} encodings */
export const guessWords = (encodings) =>
  `Some archives do not say how file names are encoded. The names were read as ${encodings.join(", ")}. ` +
  "If they look wrong, send the archive from the command line with the right encoding, such as --names cp932.";

/** The list of skipped files. It is loaded when it is opened, and again when more are skipped. */
export class Skipped {
  /** @param {string} jobId @param {(problem: Error) => void} onProblem */
  constructor(jobId, onProblem) {
    Object.assign(this, { jobId, onProblem, count: 0, shown: 0 });
    byId("skipped").addEventListener("toggle", () => this.#read());
  }

  /** @param {object} job */
  update({ skipped, guessed_encodings: encodings }) {
    this.count = skipped;
    show("skipped", skipped > 0);
    setText("skipped-count", plural(skipped, "file"));
    show("guessed", encodings.length > 0);
    setText("guessed", guessWords(encodings));
    this.#read();
  }

  async #read() {
    if (!byId("skipped").open || this.shown >= Math.min(this.count, MOST)) return;
    try {
      const { data } = await readSkipped(this.jobId, MOST);
      this.shown = data.length;
      byId("skipped-names").replaceChildren(...data.map(({ archive, filename }) => element("li", {}, element("span", { class: "file-name" }, filename), ` (${archive})`)));
    } catch (problem) {
      this.onProblem(problem);
    }
  }
}
