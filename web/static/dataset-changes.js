// Changes of a dataset's pictures, with undo: labels at once, deletions after ten seconds.

import { deletePictures, labelPictures, rejectLabel } from "./datasets-api.js";
import { plural } from "./format.js";

//: Milliseconds before pictures are deleted; until then, they are only hidden.
export const UNDO_MS = 10_000;
//: Stands for the label of a picture whose label was kept, among those that a change replaced.
const KEPT = Symbol("kept");

/** Changes pictures of one dataset, one request at a time. */
export class Changes {
  /**
   * @param {string} name of the dataset
   * @param {{relabel: (labels: Record<string, string | null>) => void, hide: (ids: string[], hidden: boolean) => void,
   *   reload: () => Promise<void>, changed: (text: string | null) => void, failed: (problem: any) => void}} page `changed` is called after each change, with
   *   "" if nothing is left to say, and with null if what was said last is still so
   */
  constructor(name, page) {
    Object.assign(this, { name, page, done: [], doomed: null, last: Promise.resolve() });
  }

  /** Whether there is something to undo. */
  get undoable() {
    return this.doomed !== null || this.done.length > 0;
  }

  /** Whether pictures are hidden that are about to be deleted. */
  get pending() {
    return this.doomed !== null;
  }

  /** Give pictures a label; null removes it. @param {{id: string, label: string | null, filename: string}[]} pictures @param {string | null} label */
  relabel(pictures, label) {
    const what = pictures.length === 1 ? pictures[0].filename.split("/").pop() : plural(pictures.length, "picture");
    return this.relabelEach(pictures, () => label, label === null ? `${what}: label removed.` : `${what}: now ${label}.`);
  }

  /** Give each picture its own label. @param {any[]} pictures @param {(picture: any) => string | null} labelOf @param {string} text that describes it */
  relabelEach(pictures, labelOf, text) {
    return this.#inTurn(async () => {
      await this.#label(Object.fromEntries(pictures.map((picture) => [picture.id, labelOf(picture)])));
      this.done.push(Object.fromEntries(pictures.map((picture) => [picture.id, picture.label])));
      this.page.changed(text);
    });
  }

  /** Keep the labels of pictures against other ones. @param {any[]} pictures @param {(picture: any) => string} otherOf @param {string} text that describes it */
  keep(pictures, otherOf, text) {
    return this.#inTurn(async () => {
      for (const picture of pictures) await rejectLabel(this.name, picture.id, otherOf(picture));
      this.done.push(Object.fromEntries(pictures.map(({ id }) => [id, KEPT])));
      await this.page.reload();
      this.page.changed(text);
    });
  }

  /** Delete pictures in ten seconds, unless that is undone. @param {string[]} ids */
  remove(ids) {
    return this.#inTurn(async () => {
      await this.commit();
      this.page.hide(ids, true);
      this.doomed = { ids, after: this.done.length, timer: setTimeout(() => this.commit(), UNDO_MS) };
      this.page.changed(`${plural(ids.length, "picture")} deleted.`);
    });
  }

  /** Delete the hidden pictures now. */
  async commit() {
    const { doomed } = this;
    if (!doomed) return;
    clearTimeout(doomed.timer);
    this.doomed = null;
    const text = doomed.after === this.done.length ? "" : null;
    try {
      await deletePictures(this.name, doomed.ids);
      this.done = withoutPictures(this.done, doomed.ids);
    } catch (problem) {
      this.page.hide(doomed.ids, false);
      this.page.failed(problem);
    }
    this.page.changed(text);
  }

  /** Undo the last change. */
  undo() {
    if (this.doomed && this.doomed.after === this.done.length) {
      const { ids, timer } = this.doomed;
      clearTimeout(timer);
      this.doomed = null;
      this.page.hide(ids, false);
      this.page.changed(`${plural(ids.length, "picture")} kept.`);
      return Promise.resolve();
    }
    return this.#inTurn(async () => {
      const before = this.done.at(-1);
      if (!before) return;
      await this.#restore(before);
      this.done.pop();
      this.page.changed(`Undid the change of ${plural(Object.keys(before).length, "picture")}.`);
    });
  }

  async #restore(before) {
    const ids = Object.keys(before);
    if (ids.some((id) => before[id] === KEPT)) {
      for (const id of ids) await rejectLabel(this.name, id, null);
      await this.page.reload();
    } else await this.#label(before);
  }

  async #label(labels) {
    await labelPictures(this.name, labels);
    this.page.relabel(labels);
  }

  #inTurn(work) {
    const turn = this.last.then(work);
    this.last = turn.catch(() => undefined);
    return turn;
  }
}

/** Return the changes without those of deleted pictures, which cannot be undone. @param {Record<string, any>[]} changes @param {string[]} ids */
export function withoutPictures(changes, ids) {
  const gone = new Set(ids);
  const left = changes.map((change) => Object.fromEntries(Object.entries(change).filter(([id]) => !gone.has(id))));
  return left.filter((change) => Object.keys(change).length);
}
