// The pages of a list that is read by cursor: where each page begins, kept in the browser's history, so that going
// back, forward and loading again all lead to the same page.

/** Where the pages up to this one begin; the first has no cursor. */
export class Trail {
  /** @param {() => void} onMove called when the page has changed */
  constructor(onMove) {
    this.onMove = onMove;
    /** @type {(string | null)[]} */
    this.cursors = history.state?.cursors ?? [null];
    this.#keep();
    // A link within the page, such as the one that skips the navigation, makes an entry without a state.
    addEventListener("popstate", ({ state }) => (state ? this.#move(state.cursors) : this.#keep()));
  }

  /** The cursor that this page begins after; null for the first. */
  get start() {
    return this.cursors.at(-1);
  }

  /** The number of this page, from 0. */
  get index() {
    return this.cursors.length - 1;
  }

  /** @param {string} cursor where the next page begins */
  forward(cursor) {
    this.#push([...this.cursors, cursor]);
  }

  /** To the page before, if there is one. */
  back() {
    if (this.index > 0) this.#push(this.cursors.slice(0, -1));
  }

  /** To the first page, perhaps of another selection. @param {string} address */
  restart(address = location.href) {
    this.cursors = [null];
    this.#keep(address);
    this.onMove();
  }

  #push(cursors) {
    history.pushState({ cursors }, "", location.href);
    this.#move(cursors);
  }

  #move(cursors) {
    this.cursors = cursors;
    this.onMove();
  }

  #keep(address = location.href) {
    history.replaceState({ cursors: this.cursors }, "", address);
  }
}
