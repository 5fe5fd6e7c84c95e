// "This is a …": gives pictures another class, and takes it back.

import { correctItems } from "./api.js";
import { plural } from "./format.js";

/** Corrects items of one job, one call after the other. `onChange` is given what changed and what it was in words. */
export class Corrections {
  /** @param {string} jobId @param {(items: object[], text: string) => void} onChange */
  constructor(jobId, onChange) {
    Object.assign(this, { jobId, onChange, done: [], last: Promise.resolve() });
  }

  get undoable() {
    return this.done.length > 0;
  }

  /** Give items a class. @param {() => object[]} current the items as they are when it is their turn @param {string} label */
  give(current, label) {
    return this.#inTurn(async () => {
      const items = current();
      const before = items.map(({ key, corrected_label }) => [key, corrected_label]);
      const changed = await correctItems(this.jobId, Object.fromEntries(before.map(([key]) => [key, label])));
      this.done.push(before);
      this.onChange(changed, items.length === 1 ? `${items[0].filename} is now: ${label}.` : `${plural(items.length, "picture")} are now: ${label}.`);
    });
  }

  /** Take the last correction back. */
  undo() {
    return this.#inTurn(async () => {
      const before = this.done.at(-1);
      if (!before) return;
      const changed = await correctItems(this.jobId, Object.fromEntries(before));
      this.done.pop();
      this.onChange(changed, `Undone for ${plural(before.length, "picture")}.`);
    });
  }

  #inTurn(work) {
    const turn = this.last.then(work);
    this.last = turn.catch(() => undefined);
    return turn;
  }
}
