// Doubted labels, one by one: the picture beside others of the label that may fit better, and a decision by one key.

import { isTiny } from "./cards.js";
import { elseThumbnail, pictureAddress, readPicture, readPictures } from "./datasets-api.js";
import { Deciding } from "./deciding.js";
import { byId, element, setText } from "./dom.js";

//: Pictures of the label that may fit better.
const EXAMPLES = 2;

/** The dialog that asks about one doubted label after the other. */
export class Doubts extends Deciding {
  /**
   * @param {string} name of the dataset
   * @param {{accept: (picture: object, label: string) => Promise<void>, keep: (picture: object, label: string) => Promise<void>, undo: () => Promise<void>,
   *   knows: (label: string) => boolean, closed: () => void, failed: (problem: any) => void}} actions `knows`: whether the dataset has a label
   */
  constructor(name, actions) {
    super("doubts", actions);
    this.name = name;
    byId("doubt-accept").addEventListener("click", () => this.#accept());
    byId("doubt-keep").addEventListener("click", () => this.#keep());
    elseThumbnail(byId("doubt-image"), name);
    byId("doubt-image").addEventListener("load", showPixels);
  }

  /** Ask about the labels that a report doubts. @param {any} report */
  askReport({ computed }) {
    this.ask((computed?.learnt?.doubted.listed ?? []).filter(({ suggested }) => suggested));
  }

  /** Ask about pictures that an import found under another label. @param {object[]} items of the import */
  askImport(items) {
    this.ask(items.map(({ picture, dataset_label: label, label: imported }) => ({ id: picture, label, suggested: { label: imported }, neighbours: [], imported: true })));
  }

  /** Show a case, or drop it if it was decided elsewhere. */
  async showCase(found, signal) {
    this.#showPicture(found);
    const similar = examplesOf(found.neighbours, found.suggested.label);
    this.#showExamples(similar, found.suggested.label);
    const picture = await this.#read(found.id);
    if (signal.aborted) return;
    if (!picture || picture.label === found.suggested.label) {
      this.drop();
      return;
    }
    if (picture.label !== found.label) this.#showPicture(Object.assign(found, { label: picture.label }));
    setText("doubt-file", picture.filename.split("/").pop());
    const others = similar.length < EXAMPLES && this.actions.knows(found.suggested.label) ? await this.#others(found, signal) : [];
    if (signal.aborted) return;
    const ids = [...new Set([...similar, ...others])].slice(0, EXAMPLES);
    if (ids.length > similar.length) this.#showExamples(ids, found.suggested.label);
  }

  #showPicture({ id, label, suggested, imported }) {
    const image = byId("doubt-image");
    if (image.dataset.key !== id) image.removeAttribute("src"); // the previous picture must not be shown under this label
    image.dataset.key = id;
    image.alt = `Picture with the label ${labelled(label)}`;
    image.src = pictureAddress(this.name, id);
    setText("doubt-label", labelled(label));
    setText("doubt-file", "");
    setText("doubt-better", suggested.label);
    setText("doubt-what", imported ? "Imported again as" : "Pictures of");
    setText("doubt-why", imported ? "" : ", which may fit better");
    setText("doubt-accept-text", `Change to ${suggested.label}`);
    setText("doubt-keep-text", `Keep ${labelled(label)}`);
  }

  /** Return a picture, or null if it is gone. */
  #read(id) {
    return readPicture(this.name, id).catch((problem) => (problem.status === 404 ? null : Promise.reject(problem)));
  }

  async #others({ id, suggested }, signal) {
    const { data } = await readPictures(this.name, { label: suggested.label, limit: EXAMPLES + 1 }, signal);
    return data.map((other) => other.id).filter((other) => other !== id);
  }

  #showExamples(ids, label) {
    const none = element("p", {}, `No other pictures of ${label}.`);
    byId("doubt-examples").replaceChildren(...(ids.length ? [] : [none]), ...ids.map((id) => {
      const image = element("img", { src: pictureAddress(this.name, id, true), alt: `Picture with the label ${label}`, decoding: "async" });
      image.addEventListener("load", showPixels);
      return element("div", { class: "viewer-picture" }, image);
    }));
  }

  #accept() {
    const { current: found, actions } = this;
    this.decide(`Changed to ${found.suggested.label}.`, () => actions.accept(found, found.suggested.label), actions.undo);
  }

  #keep() {
    const { current: found, actions } = this;
    if (found.imported) this.decide(`Kept ${labelled(found.label)}.`, null, actions.undo); // an import has changed nothing
    else this.decide(`Kept ${found.label}: it is not doubted for this again.`, () => actions.keep(found, found.suggested.label), actions.undo);
  }

  /** Handle a key. Return whether it means something. @param {string} key */
  pressed(key) {
    if (key === ".") this.#accept();
    else if (key === ",") this.#keep();
    else return false;
    return true;
  }
}

const labelled = (label) => label ?? "no label";

/** Return the ids of a doubted picture's neighbours that have the label. @param {{id: string, label: string | null}[]} neighbours the most similar first @param {string} label */
export const examplesOf = (neighbours, label) => neighbours.filter((near) => near.label === label).slice(0, EXAMPLES).map(({ id }) => id);

function showPixels({ target }) {
  target.classList.toggle("tiny", isTiny({ width: target.naturalWidth, height: target.naturalHeight }));
}
