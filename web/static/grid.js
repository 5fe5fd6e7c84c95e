// Keyboard control and selection of the cards. The cards are one tab stop; arrow keys move between them.

import { asksUndo, indexOf } from "./label-keys.js";

/** A list of cards that can be selected. */
export class Grid {
  /**
   * @param {HTMLElement} list
   * @param {{enlarge: (key: string) => void, correct: (index: number, keys: string[]) => void, undo: () => void, select: () => void}} actions
   *   handlers of keys and clicks; `select` is called when the selection changes
   */
  constructor(list, actions) {
    Object.assign(this, { list, actions, selected: new Set(), from: null });
    list.addEventListener("keydown", (event) => this.#pressed(event));
    // Some browsers click a button when Space is released.
    list.addEventListener("keyup", (event) => event.key === " " && event.target.matches("button.thumb") && event.preventDefault());
    list.addEventListener("focusin", ({ target }) => target.matches(".thumb") && this.#stopAt(target));
    list.addEventListener("click", (event) => this.#clicked(event));
    list.addEventListener("change", ({ target }) => this.#select([keyAt(target)], target.checked));
  }

  get thumbs() {
    return [...this.list.querySelectorAll("button.thumb")];
  }

  /** Call when the cards have changed. @param {number} place index of the card that had the focus, or −1 */
  renew(place) {
    const keys = new Set(this.thumbs.map(keyAt));
    const gone = [...this.selected].filter((key) => !keys.has(key));
    if (gone.length) this.#select(gone, false);
    for (const key of this.selected) this.#mark(key, true);
    if (!keys.has(this.from)) this.from = null;
    if (!this.list.querySelector('.thumb[tabindex="0"]')) this.thumbs[0]?.setAttribute("tabindex", "0");
    if (place >= 0 && !this.list.contains(document.activeElement)) (this.thumbs[place] ?? this.thumbs.at(-1))?.focus({ preventScroll: true });
  }

  /** Select all pictures of the page, or none. @param {boolean} wanted */
  selectAll(wanted) {
    this.#select(wanted ? this.thumbs.map(keyAt) : [...this.selected], wanted);
  }

  /** Focus a card, or the tab stop if the card is gone. @param {string} key */
  focus(key) {
    const made = this.#card(key);
    if (made) made.querySelector(".thumb").focus();
    else this.focusStop();
  }

  /** Focus the card that is the tab stop. */
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
      else this.actions.enlarge(keyAt(target));
    } else if (target.matches("input") && event.shiftKey && this.from !== null) this.#selectTo(keyAt(target), target.checked);
    else if (target.matches("input")) this.from = keyAt(target);
  }

  #pressed(event) {
    if (!event.target.matches("button.thumb")) return;
    const key = keyAt(event.target);
    const index = indexOf(event);
    if (event.key === " ") this.#toggle(key);
    else if (asksUndo(event)) this.actions.undo();
    else if (index >= 0) this.actions.correct(index, this.selected.has(key) ? [...this.selected] : [key]);
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

  /** Return the index of the nearest picture above or below, −1 if there is none, or null for another key. */
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
    this.actions.select();
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
