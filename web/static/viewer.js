// One picture, enlarged, with all its predictions and a button for each class.

import { imageAddress } from "./api.js";
import { isTiny, labelOf, remarkOf, share } from "./cards.js";
import { byId, element, setText } from "./dom.js";
import { bytes, number } from "./format.js";
import { asksUndo, indexOf, keyOf } from "./label-keys.js";

/** The dialog. */
export class Viewer {
  /**
   * @param {string} jobId @param {string[]} labels
   * @param {{items: () => object[], correct: (index: number, keys: string[]) => void, undo: () => void, close: (key: string) => void}} does
   *   `items` are those of the page that have a picture; `close` is told which one was seen last
   */
  constructor(jobId, labels, does) {
    Object.assign(this, { jobId, labels, does, key: null, dialog: byId("viewer") });
    byId("viewer-labels").append(...labels.map((label, index) => this.#labelButton(label, index)));
    byId("viewer-previous").addEventListener("click", () => this.#go(-1));
    byId("viewer-next").addEventListener("click", () => this.#go(1));
    byId("viewer-undo").addEventListener("click", () => does.undo());
    byId("viewer-close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("click", ({ target }) => target === this.dialog && this.dialog.close()); // beside it
    this.dialog.addEventListener("keydown", (event) => this.#pressed(event));
    this.dialog.addEventListener("close", () => does.close(this.key));
    byId("viewer-image").addEventListener("error", ({ target }) => this.#showCopy(target));
  }

  /** @param {string} key */
  open(key) {
    this.key = key;
    this.dialog.showModal();
    this.show();
  }

  /** Show the item as it is by now, or nothing where the page is another. */
  show() {
    if (!this.dialog.open) return;
    const items = this.does.items();
    const at = items.findIndex(({ key }) => key === this.key);
    if (at < 0) {
      this.dialog.close();
      return;
    }
    this.#showItem(items[at]);
    setText("viewer-place", `${number(at + 1)} of ${number(items.length)} on this page`);
    byId("viewer-previous").disabled = at === 0;
    byId("viewer-next").disabled = at === items.length - 1;
  }

  /** @param {boolean} undoable whether there is something to undo */
  allowUndo(undoable) {
    byId("viewer-undo").disabled = !undoable;
  }

  #showItem(item) {
    setText("viewer-name", item.filename);
    this.#showPicture(item);
    byId("viewer-label").replaceChildren(element("strong", {}, labelOf(item)), element("small", {}, remarkOf(item)));
    byId("viewer-label").classList.toggle("corrected", item.corrected_label !== null);
    byId("viewer-shares").replaceChildren(...item.predictions.map(share));
    setText("viewer-facts", `${number(item.width)} × ${number(item.height)} pixels, ${bytes(item.bytes)}`);
    for (const button of byId("viewer-labels").children) button.setAttribute("aria-pressed", String(button.value === labelOf(item)));
  }

  #showPicture(item) {
    const image = byId("viewer-image");
    const address = imageAddress(this.jobId, item.key);
    if (image.dataset.key !== item.key) {
      image.dataset.key = item.key;
      image.removeAttribute("src"); // the picture before must not be seen under this one's name
      image.src = address;
    }
    image.alt = item.filename;
    image.classList.toggle("tiny", isTiny(item));
    byId("viewer-file").href = address;
  }

  /** Few browsers show HEIC or TIFF: the small copy is a JPEG. */
  #showCopy(image) {
    const copy = imageAddress(this.jobId, this.key, true);
    if (image.getAttribute("src") !== copy) image.src = copy;
  }

  #labelButton(label, index) {
    const key = element("kbd", { "aria-hidden": "true" }, keyOf(index).toUpperCase());
    const button = element("button", { type: "button", value: label, "aria-pressed": "false" }, label, " ", key);
    button.addEventListener("click", () => this.does.correct(index, [this.key]));
    return button;
  }

  #go(steps) {
    const items = this.does.items();
    const next = items[items.findIndex(({ key }) => key === this.key) + steps];
    if (!next) return;
    this.key = next.key;
    this.show();
  }

  #pressed(event) {
    const index = indexOf(event);
    if (asksUndo(event)) this.does.undo();
    else if (index >= 0 && index < this.labels.length) this.does.correct(index, [this.key]);
    else if (event.key === "ArrowLeft") this.#go(-1);
    else if (event.key === "ArrowRight") this.#go(1);
    else return;
    event.preventDefault();
  }
}
