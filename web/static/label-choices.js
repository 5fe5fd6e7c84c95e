// The labels of a dataset in lists of choices, and their keys.

import { byId, element, show } from "./dom.js";
import { keyed, keyOf } from "./label-keys.js";

let offered = "";

/** Offer the labels as choices. Thousands of them take a tenth of a second, so the same ones stay. @param {string[]} labels */
export function offerLabels(labels) {
  const names = JSON.stringify(labels);
  if (names === offered) return;
  offered = names;
  byId("adding-labels").replaceChildren(...labels.map((value) => element("option", { value })));
  for (const id of ["selected-label", "viewer-choice"]) fill(byId(id), labels);
  const last = keyOf(Math.max(0, labels.length - 1)).toUpperCase();
  show("keys-labels-row", keyed(labels.length) > 0);
  byId("keys-labels").replaceChildren(element("kbd", {}, keyOf(0)), ...(labels.length > 1 ? [" to ", element("kbd", {}, last)] : []));
}

/** Fill a list of choices, and keep what is chosen. */
function fill(select, labels) {
  const { value } = select;
  select.replaceChildren(...labels.map((label) => element("option", { value: label }, label)), element("option", { value: "" }, "no label"));
  if (value && labels.includes(value)) select.value = value;
}
