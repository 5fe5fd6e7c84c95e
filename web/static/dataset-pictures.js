// One page of a dataset's pictures.

import { pictureAddress, readPictures } from "./datasets-api.js";
import { arrange, byId, element, setText, show } from "./dom.js";
import { number } from "./format.js";

const PAGE = 60;
//: State of pictures without a label, which are shown in rows by the label that is suggested for them.
const UNLABELLED = "unlabelled";
//: Doubt at which the best other label scores as high as a picture's own.
const EVEN = 0.5;

/** Shows the current page of pictures. */
export class PicturePage {
  /**
   * @param {string} name of the dataset @param {import("./pagination.js").Pagination} pagination @param {import("./filters.js").Filters} filters
   * @param {(place: number) => void} onPage called when the cards change, with the index of the focused one, or −1
   */
  constructor(name, pagination, filters, onPage) {
    Object.assign(this, { name, pagination, filters, onPage, pictures: new Map(), rows: new Map(), hidden: new Set(), next: null, reading: null });
  }

  /** Load the page. A later call replaces an earlier one. */
  async load() {
    this.reading?.abort();
    const { signal } = (this.reading = new AbortController());
    try {
      const found = await this.#read(signal);
      if (!signal.aborted) this.#put(found);
    } catch (problem) {
      if (problem.name !== "AbortError") throw problem;
    }
  }

  /** Whether pictures that are added may change this page: it is not full, or nothing followed it. */
  get hasRoom() {
    return this.pictures.size < PAGE || this.next === null;
  }

  /** Whether no picture of this page is left, but others follow. */
  get isSpent() {
    return this.shown.length === 0 && this.next !== null;
  }

  /** Show other labels on cards. @param {Record<string, string | null>} labels by picture id */
  relabel(labels) {
    for (const [id, label] of Object.entries(labels)) {
      const picture = this.pictures.get(id);
      if (!picture) continue;
      const now = { ...picture, label, doubt: null }; // the doubt was about the label before
      this.pictures.set(id, now);
      const card = byId("cards").querySelector(`[data-key="${CSS.escape(id)}"]`);
      if (card) showLabel(card, now);
    }
    this.#renewRows();
  }

  /** Hide pictures that are about to be deleted, or show them again. @param {string[]} ids @param {boolean} hidden */
  hide(ids, hidden) {
    for (const id of ids) {
      if (hidden) this.hidden.add(id);
      else this.hidden.delete(id);
    }
    this.#show();
  }

  /** Take pictures off the page that are gone. @param {string[]} ids */
  drop(ids) {
    for (const id of ids) this.pictures.delete(id);
    this.#show();
  }

  /** The visible pictures. */
  get shown() {
    return [...this.pictures.values()].filter(({ id }) => !this.hidden.has(id));
  }

  /** Return up to a page of pictures. One call may return fewer, since the service scans a limited number. */
  async #read(signal) {
    const found = [];
    let after = this.pagination.start;
    do {
      const page = await readPictures(this.name, { ...this.filters.query, after, limit: PAGE - found.length }, signal);
      found.push(...page.data);
      after = page.next;
    } while (after !== null && found.length < PAGE);
    this.next = after;
    return found;
  }

  #put(found) {
    const sorted = this.filters.query.state === UNLABELLED ? bySuggestion(found) : found;
    this.pictures = new Map(sorted.map((picture) => [picture.id, picture]));
    this.rows = new Map(sorted.map(({ id, label, suggested }) => [id, (label === null && suggested?.label) || ""]));
    this.#show();
  }

  #show() {
    const cards = byId("cards");
    const made = [...cards.querySelectorAll("[data-key]")];
    const place = made.findIndex((old) => old.contains(document.activeElement));
    const old = new Map(made.map((card) => [card.dataset.key, card]));
    arrange(cards, this.#withRows(this.shown.map((picture) => this.#card(picture, old.get(picture.id)))));
    this.#renewRows();
    this.#showPlace();
    this.onPage(place);
  }

  /** Put the head of a row before the first card of each suggested label. */
  #withRows(cards) {
    if (this.filters.query.state !== UNLABELLED) return cards;
    const heads = new Map(Array.from(byId("cards").querySelectorAll(".row-head"), (head) => [head.dataset.suggested, head]));
    let before = "";
    return cards.flatMap((card) => {
      const label = this.rows.get(card.dataset.key);
      const head = label && label !== before ? [heads.get(label) ?? headOf(label)] : [];
      before = label;
      return [...head, card];
    });
  }

  /** Show on the head of each row how many pictures wait for its label. */
  #renewRows() {
    for (const head of byId("cards").querySelectorAll(".row-head")) {
      const { length } = this.waitingFor(head.dataset.suggested);
      const button = head.querySelector("button");
      button.hidden = length === 0;
      button.textContent = `Accept ${length === 1 ? "it" : `these ${number(length)}`} as ${head.dataset.suggested}`;
    }
  }

  /** Return the visible pictures without a label for which this one is suggested. @param {string} label */
  waitingFor(label) {
    return this.shown.filter((picture) => picture.label === null && suggestionOf(picture) === label);
  }

  /** Say why there are no pictures, and offer to add some of the chosen label. */
  #showEmpty() {
    const { label, query } = this.filters;
    const onlyLabel = label !== "" && Object.keys(query).every((name) => name === "label" || name === "sort");
    const { narrows } = this.filters;
    const others = this.pictures.size > 0 || this.next !== null || this.pagination.index > 0;
    show("unfilter", narrows);
    show("empty-add", onlyLabel && !others);
    setText("empty-add-text", `Choose pictures of ${label}`);
    setText("empty-text", others ? "No pictures are left on this page." : onlyLabel ? `There are no pictures of ${label} yet.` : narrows ? "No pictures match." : "There are no pictures yet.");
  }

  #card(picture, old) {
    if (!old) return cardOf(this.name, picture);
    showLabel(old, picture);
    return old;
  }

  #showPlace() {
    const { index } = this.pagination;
    const { length } = this.shown;
    show("empty", length === 0);
    this.#showEmpty();
    setText("place", length ? `${number(index * PAGE + 1)}–${number(index * PAGE + length)}` : "None");
    byId("previous").disabled = index === 0;
    byId("next").disabled = this.next === null;
    show("pager", index > 0 || this.next !== null);
  }
}

/** Sort pictures by the label that is suggested for them: the most frequent first, those without one last. @param {{suggested: {label: string} | null}[]} pictures */
export function bySuggestion(pictures) {
  const counts = new Map();
  for (const { suggested } of pictures) if (suggested) counts.set(suggested.label, (counts.get(suggested.label) ?? 0) + 1);
  const order = new Map([...counts].toSorted(([, one], [, other]) => other - one).map(([label], place) => [label, place]));
  const placeOf = ({ suggested }) => (suggested ? order.get(suggested.label) : order.size);
  return pictures.toSorted((one, other) => placeOf(one) - placeOf(other));
}

/** Return the head of a row of cards, with a button that accepts the label for all of them. @param {string} label */
function headOf(label) {
  return element("li", { class: "row-head", "data-suggested": label }, element("h3", {}, `${label}?`),
    element("button", { type: "button", class: "btn btn-quiet" }));
}

/** Return the card of a picture. @param {string} name of the dataset @param {object} picture */
function cardOf(name, picture) {
  const { id, filename, width, height } = picture;
  const image = element("img", { src: pictureAddress(name, id, true), alt: filename, width, height, loading: "lazy", decoding: "async" });
  const box = element("input", { type: "checkbox", class: "form-check-input", tabindex: -1, "aria-label": `Select ${filename}` });
  const card = element("li", { class: "card-item", "data-key": id, draggable: "true" },
    element("button", { type: "button", class: "thumb", tabindex: -1 }, image), element("label", { class: "pick" }, box),
    element("h3"), element("p", { class: "card-file", title: filename }, filename.split("/").pop()));
  showLabel(card, picture);
  return card;
}

/** Show the label of a picture, and a button to accept another one if that is suggested. */
function showLabel(card, picture) {
  card.querySelector("h3").replaceWith(heading(picture));
  card.querySelector(".suggestion")?.remove();
  const suggested = suggestionOf(picture);
  if (suggested === null) return;
  const button = element("button", { type: "button", class: "btn btn-quiet suggestion", "aria-label": `Accept ${suggested} for ${picture.filename}` },
    element("span", {}, `${suggested}?`));
  card.querySelector("h3").after(button);
}

/** Return the label that fits a picture better than its own or none; null if none does. @param {{label: string | null, suggested: {label: string} | null, doubt: number | null}} picture */
export function suggestionOf({ label, suggested, doubt }) {
  if (!suggested || suggested.label === label) return null;
  return label === null || doubt > EVEN ? suggested.label : null;
}

function heading({ label, split }) {
  const name = element("span", label === null ? { class: "no-label" } : {}, label ?? "no label");
  return element("h3", {}, name, ...(split === "test" ? [element("small", { title: "to test with" }, "test")] : []));
}
