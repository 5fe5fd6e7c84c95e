// The near copies and the neighbours of the enlarged picture.

import { pictureAddress, readNeighbours, readPictures } from "./datasets-api.js";
import { byId, element, show } from "./dom.js";

//: Near copies that are shown; the title links to all.
const SHOWN = 5;
//: Milliseconds that a picture is looked at before the pictures like it are read.
const SETTLED_MS = 200;

/** Shows the pictures that are like another one. */
export class Alike {
  /** @param {string} name of the dataset @param {(problem: any) => void} failed */
  constructor(name, failed) {
    Object.assign(this, { name, failed, id: "", label: null, reading: null });
  }

  /** Show what is like a picture, soon. @param {{id: string, group: string, label: string | null}} picture */
  show(picture) {
    if (picture.id === this.id && picture.label === this.label) return;
    if (picture.id !== this.id) this.clear();
    this.reading?.abort();
    Object.assign(this, { id: picture.id, label: picture.label });
    const { signal } = (this.reading = new AbortController());
    const timer = setTimeout(() => this.#read(picture, signal).catch((problem) => signal.aborted || this.failed(problem)), SETTLED_MS);
    signal.addEventListener("abort", () => clearTimeout(timer));
  }

  /** Show nothing. */
  clear() {
    this.reading?.abort();
    this.id = "";
    for (const id of ["viewer-copies", "viewer-near"]) show(id, false);
  }

  async #read(picture, signal) {
    const [group, near] = await Promise.all([
      readPictures(this.name, { group: picture.group, limit: SHOWN + 1 }, signal),
      readNeighbours(this.name, picture.id, signal),
    ]);
    if (signal.aborted) return;
    const copies = group.data.filter(({ id }) => id !== picture.id).slice(0, SHOWN);
    byId("viewer-copies-all").href = addressOf(picture);
    this.#fill("viewer-copies", copies, picture);
    this.#fill("viewer-near", near, picture);
  }

  #fill(id, pictures, { label }) {
    byId(`${id}-list`).replaceChildren(...pictures.map((picture) => this.#tile(picture, label)));
    show(id, pictures.length > 0);
  }

  #tile(picture, label) {
    const { id, filename, width, height } = picture;
    const image = element("img", { src: pictureAddress(this.name, id, true), alt: filename, width, height, decoding: "async" });
    const text = element("span", { class: picture.label === label ? "" : "other-label" }, picture.label ?? "no label");
    return element("li", {}, element("a", { href: addressOf(picture), title: filename }, element("div", { class: "thumb" }, image), text));
  }
}

/** Return the address of the page with a picture and its near copies. @param {{group: string}} picture */
const addressOf = ({ group }) => `?${new URLSearchParams({ group })}`;
