// Pagination of a list that is read by cursor. The cursors are kept in the browser's history, so going back, forward
// and reloading lead to the same page.

/** The cursors of the pages up to the current one; the first is null. */
export class Pagination {
  /** @param {() => void} onMove called when the page changes */
  constructor(onMove) {
    this.onMove = onMove;
    /** @type {(string | null)[]} */
    this.cursors = history.state?.cursors ?? [null];
    this.#keep();
    // A link to an anchor, such as the skip link, adds an entry without a state.
    addEventListener("popstate", ({ state }) => (state ? this.#move(state.cursors) : this.#keep()));
  }

  /** The cursor after which this page begins; null for the first. */
  get start() {
    return this.cursors.at(-1);
  }

  /** The page number, from 0. */
  get index() {
    return this.cursors.length - 1;
  }

  /** Go to the next page. @param {string} cursor after which it begins */
  forward(cursor) {
    this.#push([...this.cursors, cursor]);
  }

  /** Go to the previous page, if there is one. */
  back() {
    if (this.index > 0) this.#push(this.cursors.slice(0, -1));
  }

  /** Go to the first page, perhaps with other filters. @param {string} address */
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
