// Item keys of files. A file gets the same key after a reload, so an upload can be resumed.

// FNV-1a, 32 bits (RFC 9923). crypto.subtle is missing on plain HTTP, and keys need no cryptographic hash.
const OFFSET_BASIS = 0x811c9dc5;
const PRIME = 0x01000193;

/** Return the hash in hexadecimal. @param {string} text @param {boolean} backwards */
function hash(text, backwards) {
  let value = OFFSET_BASIS;
  for (let at = 0; at < text.length; at++) {
    value = Math.imul(value ^ text.charCodeAt(backwards ? text.length - 1 - at : at), PRIME);
  }
  return (value >>> 0).toString(16).padStart(8, "0");
}

/** Hash a file's path, size and time to 64 bits. Its bytes are left out, since scaling changes them. @param {any} choice */
function keyOf({ name, file }) {
  const text = `${name}\n${file.size}\n${file.lastModified}`;
  return hash(text, false) + hash(text, true);
}

/**
 * Assign a unique key to each file. Files with the same path, size and time get a number appended.
 * @param {import("./files.js").Choice[]} choices
 */
export function assignKeys(choices) {
  const seen = new Map();
  for (const choice of choices) {
    const key = keyOf(choice);
    const before = seen.get(key) ?? 0;
    seen.set(key, before + 1);
    choice.key = before ? `${key}-${before}` : key;
  }
}
