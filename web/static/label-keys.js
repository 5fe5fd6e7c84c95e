// The keys that stand for classes: 0 to 9, then letters; u is for undo.

const KEYS = "0123456789abcdefghijklmnopqrstvwxyz";

/** The key of the class at this index; "" where there are more classes than keys. @param {number} index */
export const keyOf = (index) => KEYS[index] ?? "";

/** The index of the class that a key stands for, -1 for none. @param {KeyboardEvent} event */
export function indexOf({ key, ctrlKey, metaKey, altKey }) {
  return ctrlKey || metaKey || altKey || key.length !== 1 ? -1 : KEYS.indexOf(key.toLowerCase());
}

/** Whether the keys ask for undoing. @param {KeyboardEvent} event */
export function asksUndo({ key, ctrlKey, metaKey, altKey }) {
  if (altKey) return false;
  return ctrlKey || metaKey ? key.toLowerCase() === "z" : key.toLowerCase() === "u";
}
