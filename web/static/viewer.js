// The viewer: one enlarged picture with its predictions and a button for each class.

import { imageAddress } from "./api.js";
import { isTiny, labelOf, remarkOf } from "./cards.js";
import { byId, element, setText } from "./dom.js";
import { bytes, number } from "./format.js";
import { asksUndo, indexOf, keyed, keyOf } from "./label-keys.js";
import { Looks } from "./looks.js";

/** The viewer's dialog. */
export class Viewer {
  /**
   * @param {string} jobId @param {string[]} labels
   * @param {{items: () => object[], correct: (index: number, keys: string[]) => void, undo: () => void, close: (key: string) => void}} actions
   *   `items` returns the page's items with a picture; `close` receives the key of the last one shown
   */
  constructor(jobId, labels, actions) {
    Object.assign(this, { jobId, labels, actions, key: null, dialog: byId("viewer"), looks: new Looks(jobId) });
    if (keyed(labels.length)) byId("viewer-labels").append(...labels.map((label, index) => this.#labelButton(label, index)));
    else byId("viewer-labels").append(this.#labelSelect());
    byId("viewer-previous").addEventListener("click", () => this.#go(-1));
    byId("viewer-next").addEventListener("click", () => this.#go(1));
    byId("viewer-undo").addEventListener("click", () => actions.undo());
    byId("viewer-close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("click", ({ target }) => target === this.dialog && this.dialog.close()); // outside the viewer
    this.dialog.addEventListener("keydown", (event) => this.#pressed(event));
    this.dialog.addEventListener("close", () => this.#closed());
    byId("viewer-image").addEventListener("error", ({ target }) => this.#showThumbnail(target));
  }

  /** Open the viewer on an item. @param {string} key */
  open(key) {
    this.key = key;
    this.dialog.showModal();
    this.show();
  }

  /** Update the shown item, or close if it is no longer on the page. */
  show() {
    if (!this.dialog.open) return;
    const items = this.actions.items();
    const at = items.findIndex(({ key }) => key === this.key);
    if (at < 0) {
      this.dialog.close();
      return;
    }
    this.#showItem(items[at]);
    setText("viewer-place", `${number(at + 1)} of ${number(items.length)}`);
    byId("viewer-previous").disabled = at === 0;
    byId("viewer-next").disabled = at === items.length - 1;
  }

  /** Enable or disable undo. @param {boolean} undoable */
  allowUndo(undoable) {
    byId("viewer-undo").disabled = !undoable;
  }

  #showItem(item) {
    setText("viewer-name", item.filename);
    this.#showPicture(item);
    byId("viewer-label").replaceChildren(element("strong", {}, labelOf(item)), element("small", {}, remarkOf(item)));
    byId("viewer-label").classList.toggle("corrected", item.corrected_label !== null);
    this.looks.show(item);
    setText("viewer-facts", `${number(item.width)} × ${number(item.height)} pixels, ${bytes(item.bytes)}`);
    for (const button of byId("viewer-labels").querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.value === labelOf(item)));
    if (this.select) this.select.value = String(this.labels.indexOf(labelOf(item)));
  }

  #closed() {
    this.looks.clear();
    this.actions.close(this.key);
  }

  #showPicture(item) {
    const image = byId("viewer-image");
    const address = imageAddress(this.jobId, item.key);
    if (image.dataset.key !== item.key) {
      image.dataset.key = item.key;
      image.removeAttribute("src"); // the previous picture must not be shown under this name
      image.src = address;
    }
    image.alt = item.filename;
    image.classList.toggle("tiny", isTiny(item));
    byId("viewer-file").href = address;
  }

  /** Show the thumbnail, a JPEG, if the browser does not support the file's format. */
  #showThumbnail(image) {
    const thumbnail = imageAddress(this.jobId, this.key, true);
    if (image.getAttribute("src") !== thumbnail) image.src = thumbnail;
  }

  #labelButton(label, index) {
    const key = element("kbd", { "aria-hidden": "true" }, keyOf(index).toUpperCase());
    const button = element("button", { type: "button", value: label, "aria-pressed": "false" }, label, " ", key);
    button.addEventListener("click", () => this.actions.correct(index, [this.key]));
    return button;
  }

  /** Return a select of all classes, which can be searched by typing. */
  #labelSelect() {
    this.select = element("select", { class: "form-select", autocomplete: "off", "aria-label": "Correct to" },
      ...this.labels.map((label, index) => element("option", { value: index }, label)));
    this.select.addEventListener("change", () => this.actions.correct(Number(this.select.value), [this.key]));
    return this.select;
  }

  #go(steps) {
    const items = this.actions.items();
    const next = items[items.findIndex(({ key }) => key === this.key) + steps];
    if (!next) return;
    this.key = next.key;
    this.show();
  }

  #pressed(event) {
    if (event.target.matches("select")) return;
    const index = indexOf(event);
    if (asksUndo(event)) this.actions.undo();
    else if (index >= 0 && index < keyed(this.labels.length)) this.actions.correct(index, [this.key]);
    else if (event.key === "ArrowLeft") this.#go(-1);
    else if (event.key === "ArrowRight") this.#go(1);
    else return;
    event.preventDefault();
  }
}
