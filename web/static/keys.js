// Keys of files. The same file gets the same key after a reload, so that what has arrived of it is known.

// FNV-1a, 32 bits (RFC 9923): crypto.subtle is there on HTTPS and this computer only, and these are no secrets.
const OFFSET_BASIS = 0x811c9dc5;
const PRIME = 0x01000193;

/** @param {string} text @param {boolean} backwards */
function hash(text, backwards) {
  let value = OFFSET_BASIS;
  for (let at = 0; at < text.length; at++) {
    value = Math.imul(value ^ text.charCodeAt(backwards ? text.length - 1 - at : at), PRIME);
  }
  return (value >>> 0).toString(16).padStart(8, "0");
}

/** 64 bits of a file's path, size and time, never of its bytes: they may be scaled down or not. @param {any} choice */
function keyOf({ name, file }) {
  const text = `${name}\n${file.size}\n${file.lastModified}`;
  return hash(text, false) + hash(text, true);
}

/**
 * Give each choice its key. Two that are the same in all of that still get two, since neither may be lost.
 * @param {import("./files.js").Choice[]} choices
 */
export function giveKeys(choices) {
  const seen = new Map();
  for (const choice of choices) {
    const key = keyOf(choice);
    const before = seen.get(key) ?? 0;
    seen.set(key, before + 1);
    choice.key = before ? `${key}-${before}` : key;
  }
}
