// The filters of the results. The form, the page's address and the API's parameters agree.

//: Milliseconds without a key press before a typed name is searched for.
const TYPING_MS = 350;
//: Fields in percent; the API uses shares in [0, 1].
const SHARES = new Set(["min_score", "max_score"]);

/** The filter form. `onChange` is called when a filter changes. */
export class Filters {
  /** @param {HTMLFormElement} form @param {() => void} onChange */
  constructor(form, onChange) {
    Object.assign(this, { form, onChange, timer: 0 });
    form.addEventListener("change", () => this.#changed());
    form.addEventListener("input", ({ target }) => target.type === "search" && this.#typed());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#changed();
    });
  }

  /** The API's parameters, without empty ones. @returns {Record<string, string>} */
  get query() {
    const given = Object.entries(Object.fromEntries(new FormData(this.form))).filter(([, value]) => value);
    return Object.fromEntries(given.map(([name, value]) => [name, SHARES.has(name) ? toShare(value) : value]));
  }

  /** The chosen class; "" for all. */
  get label() {
    return this.form.elements.label.value;
  }

  /** Whether a filter is set. */
  get narrows() {
    return Object.keys(this.query).some((name) => name !== "sort");
  }

  /** The page's address with the filters. */
  get address() {
    const search = new URLSearchParams(this.query).toString();
    return location.pathname + (search ? `?${search}` : "");
  }

  /** Fill the form from the page's address. */
  readAddress() {
    const given = new URLSearchParams(location.search);
    for (const field of this.form.querySelectorAll("[name]")) {
      const value = given.get(field.name) ?? "";
      field.value = value && SHARES.has(field.name) ? toPercent(value) : value;
      if (field.selectedIndex < 0) field.value = "";
    }
  }

  /** Show one class; "" shows all. @param {string} label */
  choose(label) {
    this.form.elements.label.value = label;
    this.onChange();
  }

  /** Clear all filters; the order stays. */
  clear() {
    const { sort } = this.query;
    this.form.reset();
    this.form.elements.label.value = "";
    this.form.elements.sort.value = sort ?? "";
    this.onChange();
  }

  #typed() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#changed(), TYPING_MS);
  }

  #changed() {
    clearTimeout(this.timer);
    if (this.form.reportValidity()) this.onChange();
  }
}

/** Convert a percentage to a share: "95" → "0.95". @param {string} entered */
export const toShare = (entered) => String(Number((Number(entered) / 100).toFixed(6)));
/** Convert a share to a percentage: "0.95" → "95". @param {string} given */
export const toPercent = (given) => String(Number((Number(given) * 100).toFixed(4)));
