// Changes of a dataset's pictures, with undo: labels at once, deletions after ten seconds.

import { deletePictures, findGone, labelPictures, rejectLabel } from "./datasets-api.js";
import { plural } from "./format.js";

//: Milliseconds before pictures are deleted; until then, they are only hidden.
export const UNDO_MS = 10_000;
//: Stands for the label of a picture whose label was kept, among those that a change replaced.
const KEPT = Symbol("kept");

/** Changes pictures of one dataset, one request at a time. */
export class Changes {
  /**
   * @param {string} name of the dataset
   * @param {{relabel: (labels: Record<string, string | null>) => void, hide: (ids: string[], hidden: boolean) => void, gone: (ids: string[], left: number) => void,
   *   reload: () => Promise<void>, changed: (text: string | null) => void, failed: (problem: any) => void}} page `changed` is called after each change, with
   *   "" if nothing is left to say, and with null if what was said last is still so; `gone` if some pictures were deleted elsewhere, and only the others changed
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
    const what = (count) => (count === 1 && pictures.length === 1 ? pictures[0].filename.split("/").pop() : plural(count, "picture"));
    return this.relabelEach(pictures, () => label, (count) => (label === null ? `${what(count)}: label removed.` : `${what(count)}: now ${label}.`));
  }

  /** Give each picture its own label. @param {any[]} pictures @param {(picture: any) => string | null} labelOf @param {(count: number) => string} textOf describes it */
  relabelEach(pictures, labelOf, textOf) {
    return this.#inTurn(async () => {
      const left = await this.#label(mapOf(pictures, labelOf));
      this.#note(pictures, left, ({ label }) => label, textOf);
    });
  }

  /** Keep the labels of pictures against other ones. @param {any[]} pictures @param {(picture: any) => string} otherOf @param {(count: number) => string} textOf describes it */
  keep(pictures, otherOf, textOf) {
    return this.#inTurn(async () => {
      const left = await this.#reject(mapOf(pictures, otherOf));
      await this.page.reload();
      this.#note(pictures, left, () => KEPT, textOf);
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

  /** Delete the hidden pictures now, by one request: the page may be left meanwhile. */
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
      const left = await this.#restore(before);
      this.done.pop();
      this.page.changed(left.length ? `Undid the change of ${plural(left.length, "picture")}.` : "");
    });
  }

  async #restore(before) {
    if (!Object.values(before).includes(KEPT)) return this.#label(before);
    const left = await this.#reject(Object.fromEntries(Object.keys(before).map((id) => [id, null])));
    await this.page.reload();
    return left;
  }

  /** Remember how to undo a change of the pictures that are left, and say what was done. */
  #note(pictures, left, beforeOf, textOf) {
    const changed = pictures.filter(({ id }) => left.includes(id));
    if (changed.length) this.done.push(mapOf(changed, beforeOf));
    this.page.changed(changed.length ? textOf(changed.length) : null);
  }

  /** Label pictures, and return the ids of those that are there. */
  async #label(labels) {
    const left = await this.#change(Object.keys(labels), (ids) => labelPictures(this.name, only(labels, ids)));
    this.page.relabel(only(labels, left));
    return left;
  }

  /** Keep the labels of pictures against others, or forget that, and return the ids of those that are there. */
  #reject(others) {
    return this.#change(Object.keys(others), async (ids) => {
      for (const id of ids) await rejectLabel(this.name, id, others[id]);
    });
  }

  async #change(ids, work) {
    const left = await this.#withoutGone(ids, work);
    if (left.length < ids.length) this.page.gone(ids.filter((id) => !left.includes(id)), left.length);
    return left;
  }

  /** Run `work`; if it fails since pictures were deleted elsewhere, run it for the others. Return the ids of those that are there. */
  async #withoutGone(ids, work) {
    try {
      await work(ids);
      return ids;
    } catch (problem) {
      const gone = problem.status === 404 ? await findGone(this.name, ids) : [];
      if (!gone.length) throw problem;
      const left = ids.filter((id) => !gone.includes(id));
      if (left.length) await work(left);
      return left;
    }
  }

  #inTurn(work) {
    const turn = this.last.then(work);
    this.last = turn.catch(() => undefined);
    return turn;
  }
}

const mapOf = (pictures, valueOf) => Object.fromEntries(pictures.map((picture) => [picture.id, valueOf(picture)]));
const only = (values, ids) => Object.fromEntries(ids.map((id) => [id, values[id]]));

/** Return the changes without those of deleted pictures, which cannot be undone. @param {Record<string, any>[]} changes @param {string[]} ids */
export function withoutPictures(changes, ids) {
  const gone = new Set(ids);
  const left = changes.map((change) => Object.fromEntries(Object.entries(change).filter(([id]) => !gone.has(id))));
  return left.filter((change) => Object.keys(change).length);
}
