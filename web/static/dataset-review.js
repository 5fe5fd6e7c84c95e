// What the report on a dataset leads to: pictures to look at, and questions that are decided one by one.

import { Copies } from "./copies.js";
import { awaitReport } from "./dataset-report.js";
import { addLabel, readPicture, readReport } from "./datasets-api.js";
import { byId } from "./dom.js";
import { Doubts } from "./doubts.js";
import { plural } from "./format.js";
import { Outcomes } from "./import-outcomes.js";

/** Leads from the report to pictures and decisions. */
export class Review {
  /**
   * @param {string} name of the dataset @param {import("./dataset-changes.js").Changes} changes
   * @param {{choose: (sort: string | null, state: string, group?: string) => void, add: (label: string) => void, knows: (label: string) => boolean, failed: (problem: any) => void}} page
   */
  constructor(name, changes, page) {
    Object.assign(this, { name, changes, page, late: false });
    const common = { undo: () => changes.undo(), closed: () => this.#closed(), failed: page.failed };
    this.doubts = new Doubts(name, { ...common, knows: page.knows, accept: (picture, label) => this.#accept(picture, label), keep: (picture, label) => changes.keep([picture], () => label, () => `1 picture: still ${picture.label}.`) });
    this.copies = new Copies(name, {
      ...common, remove: (ids) => changes.remove(ids), canRestore: () => changes.pending,
      relabel: (pictures, label) => changes.relabelEach(pictures, () => label, (count) => `${plural(count, "picture")}: now ${label}.`),
    });
  }

  /** Show what a button of the report is about. @param {import("./report-words.js").Shown} what @param {string} [id] one of the copies, or a label */
  show(what, id) {
    this.#show(what, id).catch(this.page.failed);
  }

  async #show(what, id) {
    if (what === "copies") this.page.choose(null, "", (await readPicture(this.name, id)).group);
    else if (what === "add") this.page.add(id);
    else if (what === "doubted") this.page.choose("doubt", "");
    else if (what === "unlabelled") this.page.choose("suggested", "unlabelled");
    else await this.#decide(what);
  }

  /** Ask one by one. A deletion that could be undone is final then. */
  async #decide(what) {
    await this.changes.commit();
    const report = await readReport(this.name);
    if (what === "decide-doubts") this.doubts.askReport(report);
    else this.copies.askReport(report, what === "decide-labels");
  }

  /** Ask about the pictures that an import found under another label. @param {string} job */
  async decideImport(job) {
    const outcomes = new Outcomes(job);
    await outcomes.read();
    await this.changes.commit();
    this.doubts.askImport(outcomes.conflicts);
  }

  /** Call after each change of pictures. */
  changed() {
    this.copies.renew();
    if (!this.late || this.changes.pending) return;
    this.late = false;
    this.#closed();
  }

  async #accept(picture, label) {
    if (!this.page.knows(label)) await addLabel(this.name, label);
    await this.changes.relabelEach([picture], () => label, () => `1 picture: now ${label}.`);
  }

  /** Show a new report once all is decided, and final. The line with the button may be gone, which had the focus. */
  async #closed() {
    this.late = this.changes.pending;
    if (this.late) return;
    await awaitReport(this.name, (what, id) => this.show(what, id)).catch(this.page.failed);
    if (document.activeElement === document.body) byId("report").querySelector("summary").focus();
  }
}
