// Near copies, one group after the other: which label is right, or which picture to keep.

import { isTiny } from "./cards.js";
import { pictureAddress, readPicture, readPictures } from "./datasets-api.js";
import { Deciding } from "./deciding.js";
import { byId, element, setText, show } from "./dom.js";
import { bytes, number, plural } from "./format.js";
import { bestFirst, groupsOf, isMixed, labelsOf } from "./near-copies.js";

//: Pictures of a group that are shown; the keys 1 to 9 choose among them.
const SHOWN = 9;
//: Pictures of a group that are changed by one decision, the most that one request may change.
const MOST = 1000;

/** The dialog that asks about one group after the other. */
export class Copies extends Deciding {
  /**
   * @param {string} name of the dataset
   * @param {{relabel: (pictures: object[], label: string) => Promise<void>, remove: (ids: string[]) => Promise<void>, undo: () => Promise<void>,
   *   canRestore: () => boolean, closed: () => void, failed: (problem: any) => void}} actions `canRestore`: whether the last deletion can be undone
   */
  constructor(name, actions) {
    super("copies", actions);
    Object.assign(this, { name, mixed: false, pictures: [], kept: "" });
    byId("copies-keep").addEventListener("click", () => this.#keep());
    byId("copies-leave").addEventListener("click", () => this.#leave());
    byId("copies-list").addEventListener("click", ({ target }) => this.#choose(target.closest("button")?.value));
    byId("copies-labels").addEventListener("click", ({ target }) => target.closest("button") && this.#relabel(target.closest("button").value));
  }

  /** Ask about the groups of a report that have several labels, or about those that have not. @param {any} report @param {boolean} mixed */
  askReport({ computed }, mixed) {
    this.mixed = mixed;
    setText("copies-title", mixed ? "Which label is right?" : "Keep one of these?");
    setText("copies-hint", mixed ? "These are near copies of each other, with several labels." : "These are near copies of each other, so one teaches nearly as much as all.");
    setText("copies-leave-text", mixed ? "Leave as they are" : "Keep all");
    show("copies-keep", !mixed);
    this.ask(groupsOf(computed?.near_copies.listed ?? [], mixed));
  }

  /** Show a group, or drop it if nothing is left to decide. */
  async showCase(group, signal) {
    this.pictures = [];
    byId("copies-list").replaceChildren();
    byId("copies-labels").replaceChildren();
    const pictures = await this.#read(group[0].id, signal);
    if (signal.aborted) return;
    if (pictures.length < 2 || (this.mixed && !isMixed(pictures))) {
      this.drop();
      return;
    }
    this.pictures = bestFirst(pictures);
    this.kept = this.pictures[0].id;
    this.#fill();
  }

  /** Return the pictures of a group; none if the named one is gone. */
  async #read(id, signal) {
    try {
      const { group } = await readPicture(this.name, id);
      return (await readPictures(this.name, { group, limit: MOST }, signal)).data;
    } catch (problem) {
      if (problem.status === 404) return [];
      throw problem;
    }
  }

  #fill() {
    const rest = this.pictures.length - SHOWN;
    byId("copies-list").replaceChildren(...this.pictures.slice(0, SHOWN).map((picture, place) => this.#tile(picture, place)));
    setText("copies-rest", rest > 0 ? `and ${plural(rest, "more picture")}` : "");
    if (this.mixed) byId("copies-labels").replaceChildren(...labelsOf(this.pictures).map((label, place) => this.#labelButton(label, place)));
    else this.#mark();
  }

  #tile(picture, place) {
    const { id, filename, label, width, height, bytes: size } = picture;
    const image = element("img", { src: pictureAddress(this.name, id, true), alt: filename, width, height, decoding: "async" });
    image.classList.toggle("tiny", isTiny(picture));
    const thumb = this.mixed ? element("div", { class: "thumb" }, image) : element("button", { type: "button", class: "thumb", value: id, "aria-keyshortcuts": place + 1 }, image);
    const fate = this.mixed ? [] : [element("p", { class: "fate" }, element("span"), element("kbd", { "aria-hidden": "true" }, String(place + 1)))];
    return element("li", { class: "card-item", "data-key": id }, thumb, ...fate, element("h3", {}, element("span", label === null ? { class: "no-label" } : {}, label ?? "no label")),
      element("p", { class: "card-file", title: filename }, filename.split("/").pop()), element("p", { class: "card-file" }, `${number(width)} × ${number(height)}, ${bytes(size)}`));
  }

  #labelButton(label, place) {
    const key = place < 9 ? String(place + 1) : "";
    const button = element("button", { type: "button", class: "btn btn-quiet", value: label }, `${this.pictures.length === 2 ? "Both" : "All"} are ${label}`);
    if (key) button.setAttribute("aria-keyshortcuts", key);
    if (key) button.append(element("kbd", { "aria-hidden": "true" }, key));
    return button;
  }

  #choose(id) {
    if (!id) return;
    this.kept = id;
    this.#mark();
  }

  #mark() {
    for (const tile of byId("copies-list").children) {
      const stays = tile.dataset.key === this.kept;
      tile.classList.toggle("selected", stays);
      tile.querySelector("button").setAttribute("aria-pressed", String(stays));
      tile.querySelector(".fate span").textContent = stays ? "Keep" : "Delete";
    }
    const others = this.pictures.length - 1;
    setText("copies-keep-text", `Keep one, delete ${others === 1 ? "the other" : `the other ${number(others)}`}`);
  }

  #keep() {
    const ids = this.pictures.map(({ id }) => id).filter((id) => id !== this.kept);
    if (!ids.length) return;
    const { actions } = this;
    this.decide(`${plural(ids.length, "picture")} deleted.`, () => actions.remove(ids), actions.undo, actions.canRestore);
  }

  #relabel(label) {
    const others = this.pictures.filter((picture) => picture.label !== label);
    if (!others.length) return;
    const { actions } = this;
    this.decide(`${plural(others.length, "picture")} changed to ${label}.`, () => actions.relabel(others, label), actions.undo);
  }

  #leave() {
    if (this.pictures.length) this.decide("Nothing changed.", null, this.actions.undo);
  }

  /** Handle a key. Return whether it means something. @param {string} key */
  pressed(key) {
    const at = /^[1-9]$/.test(key) ? Number(key) - 1 : -1;
    if (key === ",") this.#leave();
    else if (key === "." && !this.mixed) this.#keep();
    else if (at >= 0) byId(this.mixed ? "copies-labels" : "copies-list").querySelectorAll("button")[at]?.click();
    else return false;
    return true;
  }
}
