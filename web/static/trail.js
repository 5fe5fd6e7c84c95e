// The pages of a list that is read by cursor: where each page begins, kept in the browser's history, so that going
// back, forward and loading again all lead to the same page.

/** Where the pages up to this one begin; the first has no cursor. */
export class Trail {
  /** @param {() => void} onMove called when the page has changed */
  constructor(onMove) {
    this.onMove = onMove;
    addEventListener("popstate", () => this.#moved());
  }

  /** @returns {(string | null)[]} */
  get cursors() {
    return history.state?.cursors ?? [null];
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
    history.pushState({ cursors: [...this.cursors, cursor] }, "", location.href);
    this.#moved();
  }

  /** To the page before. */
  back() {
    history.pushState({ cursors: this.cursors.slice(0, -1) }, "", location.href);
    this.#moved();
  }

  /** To the first page, perhaps of another selection. @param {string} address */
  restart(address = location.href) {
    history.replaceState(null, "", address);
    this.#moved();
  }

  #moved() {
    this.onMove();
  }
}
