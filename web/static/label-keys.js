// Keyboard keys for classes: 0 to 9, then letters without u, which undoes.

const KEYS = "0123456789abcdefghijklmnopqrstvwxyz";

/** Return the key of the class at this index, or "" if there are more classes than keys. @param {number} index */
export const keyOf = (index) => KEYS[index] ?? "";

/** Return how many of these classes have keys: none if there are more than keys, since those would be guesswork. @param {number} labels */
export const keyed = (labels) => (labels > KEYS.length ? 0 : labels);

/** Return the class index of a key press, or −1. @param {KeyboardEvent} event */
export function indexOf({ key, ctrlKey, metaKey, altKey }) {
  return ctrlKey || metaKey || altKey || key.length !== 1 ? -1 : KEYS.indexOf(key.toLowerCase());
}

/** Whether a key press means undo. @param {KeyboardEvent} event */
export function asksUndo({ key, ctrlKey, metaKey, altKey }) {
  if (altKey) return false;
  return ctrlKey || metaKey ? key.toLowerCase() === "z" : key.toLowerCase() === "u";
}
