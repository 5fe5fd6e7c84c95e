// Puts the corrected pictures of a job into a dataset.

import { newId, readJob } from "./api.js";
import { onClick } from "./buttons.js";
import { readDatasets, takeCorrected } from "./datasets-api.js";
import { byId, element, setText, show } from "./dom.js";
import { number, plural } from "./format.js";
import { Outcomes, outcomeWords } from "./import-outcomes.js";
import { watch } from "./watch.js";

/** The button, and the choice of the dataset if there are several. */
export class Taking {
  /** @param {string} jobId */
  constructor(jobId) {
    Object.assign(this, { jobId, count: 0, names: null });
    byId("take-dataset").addEventListener("change", () => this.#showText());
    onClick("take-button", () => this.#take());
  }

  /** Offer it if there are corrected pictures. @param {number} count of them @param {string} classifier of the job, whose dataset comes first */
  async offer(count, classifier) {
    this.count = count;
    if (count && this.names === null) await this.#readNames(classifier);
    show("take", count > 0);
    this.#showText();
  }

  async #readNames(classifier) {
    this.names = [];
    this.names = (await readDatasets()).map(({ name }) => name).toSorted((one, other) => Number(other === classifier) - Number(one === classifier));
    byId("take-dataset").replaceChildren(...this.names.map((name) => element("option", { value: name }, name)));
    const own = this.names.includes(classifier);
    if (!own) byId("take-dataset").prepend(element("option", { value: "" }, "Choose one"));
    byId("take-dataset").selectedIndex = 0;
    show("take-choice", this.names.length > Number(own));
    show("take-button", this.names.length > 0);
    show("take-none", !own);
  }

  #showText() {
    setText("take-text", `Put ${number(this.count)} corrected ${this.count === 1 ? "picture" : "pictures"} into ${byId("take-dataset").value || "a dataset"}`);
    byId("take-button").disabled = !byId("take-dataset").value;
    setText("take-none-count", `${plural(this.count, "picture")} ${this.count === 1 ? "is" : "are"} corrected.`);
  }

  async #take() {
    const name = byId("take-dataset").value;
    setText("take-result", `Putting them into ${name}…`);
    try {
      const { id } = await takeCorrected(name, this.jobId, newId());
      await watch(id, () => {}, () => {}, new AbortController().signal);
      byId("take-result").replaceChildren(...(await resultOf(name, id)));
    } catch (problem) {
      setText("take-result", "");
      throw problem;
    }
  }
}

async function resultOf(name, id) {
  const { error } = await readJob(id);
  if (error) return [error.detail];
  const outcomes = new Outcomes(id);
  await outcomes.read();
  const links = [element("a", { href: `/result/${id}` }, "See this import"), " · ", element("a", { href: `/datasets/${name}` }, `Open ${name}`)];
  return [element("strong", {}, outcomeWords(outcomes.counts)), " ", ...links];
}
