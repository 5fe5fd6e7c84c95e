// Copies a text to the clipboard. Browsers allow it on HTTPS and localhost only.

import { byId, notice, setText } from "./dom.js";

//: Milliseconds that the button shows its result.
const COPIED_MS = 2500;

/** Copy a text and return whether that was possible; if not, the page's notice shows it. @param {string} text @param {string} what it is @param {string} label id of the button's text */
export async function copyText(text, what, label) {
  if (!navigator.clipboard) {
    notice(`${what}:`, text);
    return false;
  }
  await navigator.clipboard.writeText(text);
  const before = byId(label).textContent;
  setText(label, "Copied");
  setTimeout(() => setText(label, before), COPIED_MS);
  return true;
}
