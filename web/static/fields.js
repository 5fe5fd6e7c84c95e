// Form fields made from the API's parameter descriptions: {default, type, minimum, maximum, enum, unit, description}.

import { element } from "./dom.js";
import { readableName } from "./training-outcome.js";

/** One parameter as a field. */
export class Field {
  /** @param {string} name @param {object} spec @param {{value: any, text: string}[]} choices overrides those of the spec */
  constructor(name, spec, choices = choicesOf(spec)) {
    Object.assign(this, { name, spec, id: `field-${name}` });
    this.input = choices ? selectOf(choices) : inputOf(spec);
    this.error = element("p", { class: "field-fault", id: `${this.id}-fault`, hidden: true });
    this.resetButton = element("button", { type: "button", class: "field-reset", hidden: true }, "Reset");
    this.resetButton.setAttribute("aria-label", `Reset ${readableName(name)} to ${formatValue(spec.default)}`);
    this.element = this.#make();
    this.value = spec.default;
    this.resetButton.addEventListener("click", () => this.#reset());
    this.input.addEventListener("input", () => this.show());
  }

  /** The entered value: a number, text, boolean or null. */
  get value() {
    const { input, spec } = this;
    if (input.type === "checkbox") return input.checked;
    if (input.tagName === "SELECT") return JSON.parse(input.value);
    return isNumeric(spec) ? input.valueAsNumber : input.value || null;
  }

  set value(value) {
    if (this.input.type === "checkbox") this.input.checked = value === true;
    else this.input.value = this.input.tagName === "SELECT" ? JSON.stringify(value) : (value ?? "");
    if (this.input.tagName === "SELECT" && this.input.selectedIndex < 0) this.input.value = JSON.stringify(this.spec.default);
    this.show();
  }

  /** Whether the value differs from the default. */
  get isChanged() {
    return !Object.is(this.value, this.spec.default);
  }

  /** Mark a changed value, and clear the error of an earlier one. */
  show() {
    this.resetButton.hidden = !this.isChanged;
    this.element.classList.toggle("field-changed", this.isChanged);
    this.setError(null);
  }

  /** Show an error beside the field, or clear it with null. @param {string | null} detail */
  setError(detail) {
    this.error.textContent = detail ?? "";
    this.error.hidden = !detail;
    if (detail) this.input.setAttribute("aria-invalid", "true");
    else this.input.removeAttribute("aria-invalid");
  }

  /** Return an error if the browser finds the value invalid, otherwise null. */
  check() {
    return this.input.validity.valid ? null : `Enter ${allowed(this.spec)}.`;
  }

  #reset() {
    this.value = this.spec.default;
    this.input.dispatchEvent(new Event("input", { bubbles: true }));
    this.input.focus();
  }

  #make() {
    const { id, input, spec } = this;
    const hint = `${id}-hint`;
    input.id = id;
    input.name = this.name;
    input.setAttribute("aria-describedby", `${hint} ${this.error.id}`);
    const unit = spec.unit ? [element("span", { class: "unit" }, spec.unit)] : [];
    const head = element("div", { class: "field-head" }, element("label", { for: id }, readableName(this.name)), this.resetButton);
    const control = element("div", { class: "field-input" }, input, ...unit);
    return element("div", { class: "field" }, head, control, this.error, element("p", { class: "hint", id: hint }, hintOf(spec)));
  }
}

/** Return a large radio button with a description. @param {string} group @param {string} value @param {...Node} content */
export function choiceCard(group, value, ...content) {
  const input = element("input", { type: "radio", name: group, value, class: "form-check-input" });
  return element("label", { class: "choice" }, input, element("span", { class: "choice-text" }, ...content));
}

const isNumeric = ({ type }) => type === "integer" || type === "number";
const choicesOf = (spec) => spec.enum?.map((value) => ({ value, text: String(value) })) ?? null;

function selectOf(choices) {
  const options = choices.map(({ value, text }) => element("option", { value: JSON.stringify(value) }, text));
  return element("select", { class: "form-select", autocomplete: "off" }, ...options);
}

function inputOf(spec) {
  if (spec.type === "boolean") return element("input", { type: "checkbox", class: "form-check-input", autocomplete: "off" });
  if (!isNumeric(spec)) return element("input", { type: "text", class: "form-control", autocomplete: "off" });
  const step = spec.type === "integer" ? 1 : "any";
  const range = Object.fromEntries(Object.entries({ min: spec.minimum, max: spec.maximum }).filter(([, end]) => end !== undefined));
  return element("input", {
    type: "number", class: "form-control", autocomplete: "off", required: true, step, ...range,
    inputmode: spec.type === "integer" ? "numeric" : "decimal",
  });
}

/** Return the text below a field: description, range and default. @param {object} spec */
export function hintOf(spec) {
  const range = isNumeric(spec) && spec.maximum !== undefined ? `${spec.minimum} to ${spec.maximum}` : "";
  const standard = spec.default === null ? "" : `default ${formatValue(spec.default)}`;
  return [spec.description, [range, standard].filter(Boolean).join(", ")].filter(Boolean).join(" · ");
}

/** Describe the allowed values: "a whole number from 1 to 10". @param {object} spec */
export function allowed(spec) {
  const what = spec.type === "integer" ? "a whole number" : isNumeric(spec) ? "a number" : "a value";
  return isNumeric(spec) && spec.maximum !== undefined ? `${what} from ${spec.minimum} to ${spec.maximum}` : what;
}

const formatValue = (value) => (value === true ? "yes" : value === false ? "no" : value === null ? "none" : String(value));
