// Doubted labels, one by one: the picture beside others of the label that may fit better, and a decision by one key.

import { isTiny } from "./cards.js";
import { elseThumbnail, pictureAddress, readPicture, readPictures, readReport } from "./datasets-api.js";
import { byId, element, setText, show } from "./dom.js";
import { number } from "./format.js";
import { asksUndo } from "./label-keys.js";

//: Pictures of the label that may fit better.
const EXAMPLES = 2;

/** The dialog that asks about one doubted label after the other. */
export class Doubts {
  /**
   * @param {string} name of the dataset
   * @param {{accept: (picture: object, label: string) => Promise<void>, keep: (picture: object, label: string) => Promise<void>, undo: () => Promise<void>,
   *   closed: () => void, failed: (problem: any) => void}} actions `closed` is called if something was decided
   */
  constructor(name, actions) {
    Object.assign(this, { name, actions, waiting: [], decided: [], place: 0, reading: null, dialog: byId("doubts") });
    byId("doubts-close").addEventListener("click", () => this.dialog.close());
    byId("doubt-accept").addEventListener("click", () => this.#decide("accept"));
    byId("doubt-keep").addEventListener("click", () => this.#decide("keep"));
    byId("doubt-undo").addEventListener("click", () => this.#undo());
    byId("doubt-previous").addEventListener("click", () => this.#go(-1));
    byId("doubt-next").addEventListener("click", () => this.#go(1));
    elseThumbnail(byId("doubt-image"), name);
    byId("doubt-image").addEventListener("load", showPixels);
    this.dialog.addEventListener("keydown", (event) => this.#pressed(event));
    this.dialog.addEventListener("close", () => this.#closed());
  }

  /** Ask about the labels that the report doubts. */
  async open() {
    const { computed } = await readReport(this.name);
    const listed = computed?.learnt?.doubted.listed ?? [];
    Object.assign(this, { waiting: listed.filter(({ suggested }) => suggested), decided: [], place: 0 });
    setText("doubt-said", "");
    this.dialog.showModal();
    this.#show();
  }

  #show() {
    this.reading?.abort();
    this.place = Math.max(0, Math.min(this.place, this.waiting.length - 1));
    const found = this.waiting[this.place];
    show("doubt-pair", Boolean(found));
    show("doubts-end", !found);
    for (const id of ["doubt-accept", "doubt-keep"]) show(id, Boolean(found));
    byId("doubt-undo").disabled = !this.decided.length;
    byId("doubt-previous").disabled = this.place === 0;
    byId("doubt-next").disabled = this.place >= this.waiting.length - 1;
    setText("doubt-place", found ? `${number(this.place + 1)} of ${number(this.waiting.length)}` : "");
    if (found) this.#showPicture(found);
    else byId("doubts-close").focus();
  }

  #showPicture({ id, label, suggested, neighbours }) {
    const image = byId("doubt-image");
    image.removeAttribute("src"); // the previous picture must not be shown under this label
    image.dataset.key = id;
    image.alt = `Picture with the label ${label}`;
    image.src = pictureAddress(this.name, id);
    setText("doubt-label", label);
    setText("doubt-file", "");
    setText("doubt-better", suggested.label);
    setText("doubt-accept-text", `Change to ${suggested.label}`);
    setText("doubt-keep-text", `Keep ${label}`);
    const { signal } = (this.reading = new AbortController());
    this.#read(id, suggested.label, neighbours, signal).catch((problem) => signal.aborted || this.#failed(problem));
  }

  async #read(id, label, neighbours, signal) {
    const similar = examplesOf(neighbours, label);
    this.#showExamples(similar, label);
    const [{ filename }, others] = await Promise.all([
      readPicture(this.name, id),
      similar.length < EXAMPLES ? readPictures(this.name, { label, limit: EXAMPLES }, signal) : { data: [] },
    ]);
    if (signal.aborted) return;
    setText("doubt-file", filename.split("/").pop());
    const ids = [...new Set([...similar, ...others.data.map((other) => other.id)])].slice(0, EXAMPLES);
    if (ids.length > similar.length) this.#showExamples(ids, label);
  }

  #showExamples(ids, label) {
    byId("doubt-examples").replaceChildren(...ids.map((id) => {
      const image = element("img", { src: pictureAddress(this.name, id, true), alt: `Picture with the label ${label}`, decoding: "async" });
      image.addEventListener("load", showPixels);
      return element("div", { class: "viewer-picture" }, image);
    }));
  }

  #decide(what) {
    const found = this.waiting[this.place];
    if (!found) return;
    this.waiting.splice(this.place, 1);
    this.decided.push({ found, place: this.place });
    setText("doubt-said", what === "accept" ? `Changed to ${found.suggested.label}.` : `Kept ${found.label}: it is not doubted for this again.`);
    this.#show();
    this.actions[what](found, found.suggested.label).catch((problem) => this.#failed(problem));
  }

  #undo() {
    const last = this.decided.pop();
    if (!last) return;
    this.waiting.splice(last.place, 0, last.found);
    this.place = last.place;
    setText("doubt-said", "Undone.");
    this.#show();
    this.actions.undo().catch((problem) => this.#failed(problem));
  }

  #go(steps) {
    if (!this.waiting[this.place + steps]) return;
    this.place += steps;
    this.#show();
  }

  #pressed(event) {
    const { key, ctrlKey, metaKey, altKey } = event;
    if (asksUndo(event)) this.#undo();
    else if (ctrlKey || metaKey || altKey) return;
    else if (key === ".") this.#decide("accept");
    else if (key === ",") this.#decide("keep");
    else if (key === "ArrowLeft") this.#go(-1);
    else if (key === "ArrowRight") this.#go(1);
    else return;
    event.preventDefault();
  }

  #failed(problem) {
    this.dialog.close();
    this.actions.failed(problem);
  }

  #closed() {
    this.reading?.abort();
    if (this.decided.length) this.actions.closed();
  }
}

/** Return the ids of a doubted picture's neighbours that have the label. @param {{id: string, label: string | null}[]} neighbours the most similar first @param {string} label */
export const examplesOf = (neighbours, label) => neighbours.filter((near) => near.label === label).slice(0, EXAMPLES).map(({ id }) => id);

function showPixels({ target }) {
  target.classList.toggle("tiny", isTiny({ width: target.naturalWidth, height: target.naturalHeight }));
}
