// What of the results is wanted: the form, the page's address and the API's parameters say the same.

//: Milliseconds without a key until a name that is being typed is searched for.
const TYPING_MS = 350;
//: Fields that hold percent where the API has shares.
const SHARES = new Set(["min_score", "max_score"]);

/** The form of filters. `onChange` is called when something else is wanted. */
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

  /** What the API is asked for; what is not wanted is left out. @returns {Record<string, string>} */
  get query() {
    const given = Object.entries(Object.fromEntries(new FormData(this.form))).filter(([, value]) => value);
    return Object.fromEntries(given.map(([name, value]) => [name, SHARES.has(name) ? toShare(value) : value]));
  }

  /** The class that is wanted, "" for all. */
  get label() {
    return this.form.elements.label.value;
  }

  /** Whether some results are left out. */
  get narrows() {
    return Object.keys(this.query).some((name) => name !== "sort");
  }

  /** The address of this page with what is wanted. */
  get address() {
    const search = new URLSearchParams(this.query).toString();
    return location.pathname + (search ? `?${search}` : "");
  }

  /** The page's address into the form: another machine may have sent it. */
  readAddress() {
    const given = new URLSearchParams(location.search);
    for (const field of this.form.querySelectorAll("[name]")) {
      const value = given.get(field.name) ?? "";
      field.value = value && SHARES.has(field.name) ? toPercent(value) : value;
      if (field.selectedIndex < 0) field.value = "";
    }
  }

  /** Show one class, or with "" all. @param {string} label */
  choose(label) {
    this.form.elements.label.value = label;
    this.onChange();
  }

  /** Show everything, in the order that is chosen. */
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

/** A percentage as entered, as the share that the API expects: "95" → "0.95". @param {string} entered */
export const toShare = (entered) => String(Number((Number(entered) / 100).toFixed(6)));
/** The reverse of toShare. @param {string} given */
export const toPercent = (given) => String(Number((Number(given) * 100).toFixed(4)));
