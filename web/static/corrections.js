// Corrects the labels of pictures, with undo.

import { correctItems } from "./api.js";
import { plural } from "./format.js";

/** Corrects items of one job, one request at a time. `onChange` receives the changed items and a text that describes it. */
export class Corrections {
  /** @param {string} jobId @param {(items: object[], text: string) => void} onChange */
  constructor(jobId, onChange) {
    Object.assign(this, { jobId, onChange, done: [], last: Promise.resolve() });
  }

  get undoable() {
    return this.done.length > 0;
  }

  /** Set a label. @param {() => object[]} current returns the items when the request is sent @param {string} label */
  correct(current, label) {
    return this.#inTurn(async () => {
      const items = current();
      const before = items.map(({ key, corrected_label }) => [key, corrected_label]);
      const changed = await correctItems(this.jobId, Object.fromEntries(before.map(([key]) => [key, label])));
      this.done.push(before);
      this.onChange(changed, items.length === 1 ? `${items[0].filename}: corrected to ${label}.` : `${plural(items.length, "picture")} corrected to ${label}.`);
    });
  }

  /** Undo the last correction. */
  undo() {
    return this.#inTurn(async () => {
      const before = this.done.at(-1);
      if (!before) return;
      const changed = await correctItems(this.jobId, Object.fromEntries(before));
      this.done.pop();
      this.onChange(changed, `Undid ${plural(before.length, "correction")}.`);
    });
  }

  #inTurn(work) {
    const turn = this.last.then(work);
    this.last = turn.catch(() => undefined);
    return turn;
  }
}
