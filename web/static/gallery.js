// One page of result cards, which fills while the job runs.

import { readResults } from "./api.js";
import { card, updateCard } from "./cards.js";
import { arrange, byId, setText, show } from "./dom.js";
import { number } from "./format.js";

const PAGE = 60;

/** Shows the current page of results. */
export class Gallery {
  /**
   * @param {string} jobId @param {import("./pagination.js").Pagination} pagination @param {import("./filters.js").Filters} filters
   * @param {(place: number) => void} onPage called when the cards change, with the index of the focused one, or −1
   */
  constructor(jobId, pagination, filters, onPage) {
    Object.assign(this, { jobId, pagination, filters, onPage, job: null, items: new Map(), counts: [], held: false });
    this.reset();
  }

  /** Discard the page before another page or filter is shown. */
  reset() {
    this.reading?.abort();
    this.reading = null;
    this.cursor = this.pagination.start;
    this.count = 0;
    this.atEnd = false;
    this.more = false;
    this.settled = false; // whether the job was done when the page was read
    this.stale = true; // the visible cards are replaced once new ones arrive
  }

  /** Load new results. Calls during a load cause one more load after it. @param {object} job */
  async refresh(job) {
    this.job = job;
    this.again = true;
    if (this.reading) return;
    while (this.again) {
      this.again = false;
      const reading = (this.reading = new AbortController());
      try {
        await this.#read(reading.signal);
      } catch (problem) {
        if (problem.name !== "AbortError") throw problem;
      } finally {
        if (this.reading === reading) this.reading = null;
      }
      if (this.reading) return; // a later call has taken over
    }
  }

  /** Freeze the order of the cards while the viewer is open. @param {boolean} held */
  hold(held) {
    this.held = held;
    if (this.#isFrozen()) this.reading?.abort();
  }

  /** Update items in place. Those that no longer match the filter go with the next page. */
  update(items) {
    for (const item of items.filter(({ key }) => this.items.has(key))) {
      this.items.set(item.key, item);
      updateCard(byId("cards").querySelector(`[data-key="${CSS.escape(item.key)}"]`), item);
    }
  }

  /** The items of this page that have a thumbnail. */
  get pictures() {
    return [...this.items.values()].filter(({ state }) => state === "succeeded");
  }

  /** Whether the page cannot change any more. */
  get complete() {
    return this.atEnd || (this.count === PAGE && this.more && !this.#reorders());
  }

  async #read(signal) {
    if (!this.complete && !this.#isFrozen()) await this.#fill(signal);
    this.#showPlace(); // the total grows even if this page is full
  }

  async #fill(signal) {
    const whole = this.#reorders();
    const settled = this.job.done;
    const items = await this.#next(PAGE - (whole ? 0 : this.count), whole ? this.pagination.start : this.cursor, signal);
    this.settled = settled;
    this.#put(items, whole);
    this.more = this.count === PAGE && !this.atEnd && (await this.#hasNext(signal));
  }

  /** Whether new results may be inserted between others, so that the whole page has to be read again. */
  #reorders() {
    return Boolean(this.filters.query.sort) && !this.settled;
  }

  /** Whether changes wait until the viewer is closed. */
  #isFrozen() {
    return this.held && !this.stale && this.#reorders();
  }

  /** Return up to `wanted` items after `cursor`. One call may return fewer, since the service scans a limited number. */
  async #next(wanted, cursor, signal) {
    const items = [];
    while (items.length < wanted) {
      const asked = { ...this.filters.query, after: cursor, limit: wanted - items.length };
      const page = await readResults(this.jobId, asked, signal);
      items.push(...page.data);
      this.atEnd = page.done;
      if (page.done || page.next === cursor) break;
      cursor = page.next;
      if (items.length < wanted) setText("place", "Searching…");
    }
    this.cursor = cursor;
    return items;
  }

  async #hasNext(signal) {
    const { cursor, atEnd } = this;
    const found = await this.#next(1, cursor, signal);
    Object.assign(this, { cursor, atEnd }); // this call only peeks
    return found.length > 0;
  }

  #put(items, whole) {
    const cards = byId("cards");
    const place = Array.from(cards.children).findIndex((old) => old.contains(document.activeElement));
    const old = new Map(whole && !this.stale ? Array.from(cards.children, (made) => [made.dataset.key, made]) : []);
    const made = items.map((item) => old.get(item.key) ?? card(this.jobId, item));
    if (this.stale || whole) this.items.clear();
    for (const item of items) this.items.set(item.key, item);
    if (this.stale || whole) arrange(cards, made);
    else cards.append(...made);
    this.stale = false;
    this.count = cards.children.length;
    this.#showEmpty();
    this.onPage(place);
  }

  #showEmpty() {
    const narrowed = this.filters.narrows;
    show("empty", this.count === 0);
    show("unfilter", narrowed);
    if (narrowed) setText("empty-text", this.job.done ? "No results match the filters." : "No results match the filters yet.");
    else setText("empty-text", this.job.done ? "There are no results." : "Results appear here as soon as the first pictures are classified.");
  }

  #showPlace() {
    const { index } = this.pagination;
    const known = this.#total();
    const last = index * PAGE + this.count;
    const range = this.count ? `${number(index * PAGE + 1)}–${number(last)}` : "None";
    setText("place", known && known >= last ? `${range} of ${number(known)}` : range);
    byId("previous").disabled = index === 0;
    byId("next").disabled = !this.more;
    show("previous", index > 0 || this.more);
    show("next", index > 0 || this.more);
    show("pager", index > 0 || this.more || this.count > 1);
  }

  /** Return the number of results that match the filters, or null if the service does not count them. */
  #total() {
    const { sort, label, state, ...others } = this.filters.query;
    if (Object.keys(others).length || (label && state)) return null;
    if (label) return this.counts.find((count) => count.label === label)?.count ?? null;
    const { counts } = this.job;
    return state ? counts[state] : counts.succeeded + counts.failed + counts.cancelled;
  }
}
