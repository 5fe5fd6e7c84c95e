// One enlarged picture of a dataset, with its label and its neighbours.

import { isTiny } from "./cards.js";
import { Alike } from "./dataset-alike.js";
import { elseThumbnail, pictureAddress } from "./datasets-api.js";
import { byId, element, setText } from "./dom.js";
import { bytes, number } from "./format.js";
import { asksUndo, indexOf } from "./label-keys.js";

/** The viewer's dialog. */
export class PictureViewer {
  /**
   * @param {string} name of the dataset
   * @param {{pictures: () => object[], correct: (index: number, ids: string[]) => void, choose: (label: string | null, ids: string[]) => void,
   *   remove: (ids: string[]) => void, undo: () => void, close: (id: string) => void, failed: (problem: any) => void}} actions
   */
  constructor(name, actions) {
    Object.assign(this, { name, actions, id: "", place: 0, dialog: byId("viewer"), alike: new Alike(name, actions.failed) });
    byId("viewer-previous").addEventListener("click", () => this.#go(-1));
    byId("viewer-next").addEventListener("click", () => this.#go(1));
    byId("viewer-undo").addEventListener("click", () => actions.undo());
    byId("viewer-delete").addEventListener("click", () => actions.remove([this.id]));
    byId("viewer-close").addEventListener("click", () => this.dialog.close());
    byId("viewer-choice").addEventListener("change", ({ target }) => actions.choose(target.value || null, [this.id]));
    this.dialog.addEventListener("click", ({ target }) => target === this.dialog && this.dialog.close()); // outside the viewer
    this.dialog.addEventListener("keydown", (event) => this.#pressed(event));
    this.dialog.addEventListener("close", () => this.#closed());
    elseThumbnail(byId("viewer-image"), name);
  }

  /** Open the viewer on a picture. @param {string} id */
  open(id) {
    this.id = id;
    this.dialog.showModal();
    this.show();
  }

  /** Update the shown picture. If it is gone, show the one in its place, or close. */
  show() {
    if (!this.dialog.open) return;
    const pictures = this.actions.pictures();
    const found = pictures.findIndex(({ id }) => id === this.id);
    this.place = found < 0 ? Math.min(this.place, pictures.length - 1) : found;
    if (this.place < 0) {
      this.dialog.close();
      return;
    }
    this.#showPicture(pictures[this.place]);
    setText("viewer-place", `${number(this.place + 1)} of ${number(pictures.length)}`);
    byId("viewer-previous").disabled = this.place === 0;
    byId("viewer-next").disabled = this.place === pictures.length - 1;
  }

  #closed() {
    this.alike.clear();
    this.actions.close(this.id);
  }

  #showPicture(picture) {
    const { id, filename, label, split, width, height, bytes: size } = picture;
    const image = byId("viewer-image");
    if (image.dataset.key !== id) {
      image.dataset.key = id;
      image.removeAttribute("src"); // the previous picture must not be shown under this name
      image.src = pictureAddress(this.name, id);
    }
    this.id = id;
    image.alt = filename;
    image.classList.toggle("tiny", isTiny(picture));
    setText("viewer-name", filename);
    byId("viewer-label").replaceChildren(element("strong", {}, label ?? "no label"));
    byId("viewer-choice").value = label ?? "";
    byId("viewer-file").href = pictureAddress(this.name, id);
    const used = split === "test" ? ", used to test with" : split === "train" ? ", used to learn from" : "";
    setText("viewer-facts", `${number(width)} × ${number(height)} pixels, ${bytes(size)}${used}`);
    this.alike.show(picture);
  }

  #go(steps) {
    const next = this.actions.pictures()[this.place + steps];
    if (!next) return;
    this.id = next.id;
    this.show();
  }

  #pressed(event) {
    if (event.target.matches("select, input")) return;
    const index = indexOf(event);
    if (asksUndo(event)) this.actions.undo();
    else if (index >= 0) this.actions.correct(index, [this.id]);
    else if (event.key === "Delete") this.actions.remove([this.id]);
    else if (event.key === "ArrowLeft") this.#go(-1);
    else if (event.key === "ArrowRight") this.#go(1);
    else return;
    event.preventDefault();
  }
}
