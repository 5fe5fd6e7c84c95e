// One page of results, which fills in while the job runs. There are never more cards than a page has.

import { readResults } from "./api.js";
import { card, recorrect } from "./cards.js";
import { arrange, byId, setText, show } from "./dom.js";
import { number } from "./format.js";

const PAGE = 60;

/** Shows the page of results that the trail points at. */
export class Gallery {
  /**
   * @param {string} jobId @param {import("./trail.js").Trail} trail @param {import("./filters.js").Filters} filters
   * @param {(place: number) => void} onPage called when the cards are others, with the place of the one that had the focus, or −1
   */
  constructor(jobId, trail, filters, onPage) {
    Object.assign(this, { jobId, trail, filters, onPage, job: null, items: new Map(), counts: [], held: false });
    this.reset();
  }

  /** Forget the page, for another one, another filter or after a retry. */
  reset() {
    this.reading?.abort();
    this.reading = null;
    this.cursor = this.trail.start;
    this.count = 0;
    this.over = false;
    this.more = false;
    this.settled = false; // whether the job was over when the page was read
    this.stale = true; // the cards that are still to be seen go when the new ones are there
  }

  /** Read what there is by now. Calls while a read is under way lead to one more after it. @param {object} job */
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

  /** Let nothing come in between, or go, while the page is looked through picture by picture. @param {boolean} held */
  hold(held) {
    this.held = held;
    if (this.#still()) this.reading?.abort();
  }

  /** Show items as they are by now, where they are; a filter that they no longer meet takes them away with the next page. */
  update(items) {
    for (const item of items.filter(({ key }) => this.items.has(key))) {
      this.items.set(item.key, item);
      recorrect(byId("cards").querySelector(`[data-key="${CSS.escape(item.key)}"]`), item);
    }
  }

  /** The items of this page that have a picture. */
  get pictures() {
    return [...this.items.values()].filter(({ state }) => state === "succeeded");
  }

  /** Whether nothing can be added to this page any more. */
  get complete() {
    return this.over || (this.count === PAGE && this.more && !this.#reorders());
  }

  async #read(signal) {
    if (!this.complete && !this.#still()) await this.#fill(signal);
    this.#showPlace(); // the count of all grows on, also where this page is full
  }

  async #fill(signal) {
    const whole = this.#reorders();
    const settled = this.job.done;
    const items = await this.#next(PAGE - (whole ? 0 : this.count), whole ? this.trail.start : this.cursor, signal);
    this.settled = settled;
    this.#put(items, whole);
    this.more = this.count === PAGE && !this.over && (await this.#hasNext(signal));
  }

  /** Whether new results may come in between: then the page is read as a whole each time. */
  #reorders() {
    return Boolean(this.filters.query.sort) && !this.settled;
  }

  /** Whether the page waits until nobody looks through it any more. */
  #still() {
    return this.held && !this.stale && this.#reorders();
  }

  /** Up to `wanted` items after `cursor`; a call may give fewer than there are, since it looks only so far. */
  async #next(wanted, cursor, signal) {
    const items = [];
    while (items.length < wanted) {
      const asked = { ...this.filters.query, after: cursor, limit: wanted - items.length };
      const page = await readResults(this.jobId, asked, signal);
      items.push(...page.data);
      this.over = page.done;
      if (page.done || page.next === cursor) break;
      cursor = page.next;
      if (items.length < wanted) setText("place", "Looking further…");
    }
    this.cursor = cursor;
    return items;
  }

  async #hasNext(signal) {
    const { cursor, over } = this;
    const found = await this.#next(1, cursor, signal);
    Object.assign(this, { cursor, over }); // that was only a look
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
    if (narrowed) setText("empty-text", this.job.done ? "No result matches this choice." : "No result matches this choice yet.");
    else setText("empty-text", this.job.done ? "There are no results." : "Results appear here as soon as the first are ready.");
  }

  #showPlace() {
    const { index } = this.trail;
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

  /** How many results there are in this selection; null where the server does not count them. */
  #total() {
    const { sort, label, state, ...others } = this.filters.query;
    if (Object.keys(others).length || (label && state)) return null;
    if (label) return this.counts.find((count) => count.label === label)?.count ?? null;
    const { counts } = this.job;
    return state ? counts[state] : counts.succeeded + counts.failed + counts.cancelled;
  }
}
