// The keyboard and the selection on a page of cards. The cards are one stop of Tab; arrows go on from there.

import { asksUndo, indexOf } from "./label-keys.js";

/** The list of cards. */
export class Grid {
  /**
   * @param {HTMLElement} list
   * @param {{enlarge: (key: string) => void, correct: (index: number, keys: string[]) => void, undo: () => void, select: () => void}} does
   *   what a key or a click asks for; `select` tells that the selection has changed
   */
  constructor(list, does) {
    Object.assign(this, { list, does, selected: new Set(), from: null });
    list.addEventListener("keydown", (event) => this.#pressed(event));
    // Some browsers press a button when Space is let go.
    list.addEventListener("keyup", (event) => event.key === " " && event.target.matches("button.thumb") && event.preventDefault());
    list.addEventListener("focusin", ({ target }) => target.matches(".thumb") && this.#stopAt(target));
    list.addEventListener("click", (event) => this.#clicked(event));
    list.addEventListener("change", ({ target }) => this.#select([keyAt(target)], target.checked));
  }

  get thumbs() {
    return [...this.list.querySelectorAll("button.thumb")];
  }

  /** Call when the cards are others. @param {number} place of the one that had the focus, or −1 */
  renew(place) {
    const keys = new Set(this.thumbs.map(keyAt));
    const gone = [...this.selected].filter((key) => !keys.has(key));
    if (gone.length) this.#select(gone, false);
    for (const key of this.selected) this.#mark(key, true);
    if (!keys.has(this.from)) this.from = null;
    if (!this.list.querySelector('.thumb[tabindex="0"]')) this.thumbs[0]?.setAttribute("tabindex", "0");
    if (place >= 0 && !this.list.contains(document.activeElement)) (this.thumbs[place] ?? this.thumbs.at(-1))?.focus({ preventScroll: true });
  }

  /** Select every picture of the page, or with false none. @param {boolean} wanted */
  selectAll(wanted) {
    this.#select(wanted ? this.thumbs.map(keyAt) : [...this.selected], wanted);
  }

  /** Put the focus on a card, or on another where this one is gone. @param {string} key */
  focus(key) {
    const made = this.#card(key);
    if (made) made.querySelector(".thumb").focus();
    else this.focusStop();
  }

  /** Put the focus on the card that Tab stops at. */
  focusStop() {
    this.list.querySelector('.thumb[tabindex="0"]')?.focus({ preventScroll: true });
  }

  #card(key) {
    return this.list.querySelector(`[data-key="${CSS.escape(key)}"]`);
  }

  #stopAt(thumb) {
    for (const other of this.list.querySelectorAll('.thumb[tabindex="0"]')) other.tabIndex = -1;
    thumb.tabIndex = 0;
  }

  #clicked(event) {
    const { target } = event;
    if (target.closest(".thumb")?.matches("button")) {
      if (event.ctrlKey || event.metaKey) this.#toggle(keyAt(target));
      else this.does.enlarge(keyAt(target));
    } else if (target.matches("input") && event.shiftKey && this.from !== null) this.#selectTo(keyAt(target), target.checked);
    else if (target.matches("input")) this.from = keyAt(target);
  }

  #pressed(event) {
    if (!event.target.matches("button.thumb")) return;
    const key = keyAt(event.target);
    const index = indexOf(event);
    if (event.key === " ") this.#toggle(key);
    else if (asksUndo(event)) this.does.undo();
    else if (index >= 0) this.does.correct(index, this.selected.has(key) ? [...this.selected] : [key]);
    else if (!this.#moved(event)) return;
    event.preventDefault();
  }

  #moved({ key, target, ctrlKey, metaKey, altKey }) {
    if (ctrlKey || metaKey || altKey) return false;
    const { thumbs } = this;
    const at = thumbs.indexOf(target);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: thumbs.length - 1 }[key] ?? this.#vertically(key, thumbs, target);
    if (to === null) return false;
    thumbs[to]?.focus();
    return true;
  }

  /** The nearest picture in the row above or below; null for another key. */
  #vertically(key, thumbs, from) {
    if (key !== "ArrowUp" && key !== "ArrowDown") return null;
    const { left, top } = from.getBoundingClientRect();
    const way = key === "ArrowUp" ? -1 : 1;
    const places = thumbs.map((thumb) => thumb.getBoundingClientRect());
    const row = places.filter((place) => Math.abs(place.left - left) < place.width / 2 && (place.top - top) * way > 1);
    const nearest = row.toSorted((one, other) => (one.top - other.top) * way)[0];
    return nearest ? places.indexOf(nearest) : -1;
  }

  #toggle(key) {
    this.from = key;
    this.#select([key], !this.selected.has(key));
  }

  #selectTo(key, wanted) {
    const keys = this.thumbs.map(keyAt);
    const [first, last] = [keys.indexOf(this.from), keys.indexOf(key)].toSorted((one, other) => one - other);
    this.#select(keys.slice(Math.max(0, first), last + 1), wanted);
  }

  #select(keys, wanted) {
    for (const key of keys) {
      if (wanted) this.selected.add(key);
      else this.selected.delete(key);
      this.#mark(key, wanted);
    }
    this.does.select();
  }

  #mark(key, wanted) {
    const made = this.#card(key);
    if (!made) return;
    made.classList.toggle("selected", wanted);
    made.querySelector("input").checked = wanted;
    if (wanted) made.querySelector(".thumb").setAttribute("aria-describedby", "is-selected");
    else made.querySelector(".thumb").removeAttribute("aria-describedby");
  }
}

const keyAt = (node) => node.closest("[data-key]").dataset.key;
