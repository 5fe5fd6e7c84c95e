// The chosen files before they are sent: size, previews, and which files are skipped.

import { totalBytes } from "./batches.js";
import { announce, byId, element, icon, setText, show } from "./dom.js";
import { bytes, number, plural } from "./format.js";
import { showPreviews } from "./previews.js";

//: Skipped files that are listed at first, and at most.
const NAMED = 6;
const NAMED_AT_MOST = 500;
const byName = new Intl.Collator("en", { numeric: true });

/**
 * @param {any[]} choices @param {import("./files.js").Skipped[]} skipped
 * @param {{title: string, there: number} | null} before the interrupted upload that they continue
 */
export function showChosen(choices, skipped, before) {
  const what = describe(choices);
  setText("chosen-title", `${what}, ${bytes(totalBytes(choices))}`);
  byId("start").replaceChildren(icon("upload"), before ? restInWords(choices.length - before.there) : `Classify ${what}`);
  show("chosen-before", Boolean(before));
  if (before) setText("chosen-before", `${number(before.there)} of them arrived before the upload${inQuotes(before.title)} was interrupted and are not sent again.`);
  show("left-out", skipped.length > 0);
  byId("left-out").replaceChildren(icon("alert"), element("div", {}, element("strong", {}, skippedTitle(skipped)), fileList(skipped)));
  showPreviews(byId("previews"), choices);
  announce(`${what} chosen${skipped.length ? `, ${plural(skipped.length, "file")} skipped` : ""}.`);
}

const restInWords = (count) => (count ? `Send the remaining ${number(count)}` : "Finish the upload");

/** Return a title in quotes, or an empty text. @param {string} title */
export const inQuotes = (title) => (title ? ` “${title}”` : "");

function describe(choices) {
  const archives = choices.filter(({ archive }) => archive).length;
  const parts = [[choices.length - archives, "picture"], [archives, "archive"]].filter(([count]) => count);
  return parts.map(([count, noun]) => plural(count, noun)).join(" and ");
}

const skippedTitle = (skipped) => (skipped.length === 1 ? "1 file is skipped" : `${number(skipped.length)} files are skipped`);

/** Return the files with their reasons, sorted by name; long lists are folded. @param {import("./files.js").Skipped[]} skipped */
export function fileList(skipped) {
  const sorted = skipped.toSorted((one, other) => byName.compare(one.name, other.name));
  const names = namesOf(sorted.slice(0, NAMED));
  if (sorted.length <= NAMED) return names;
  const rest = element("div", { class: "names-rest", tabindex: 0, role: "group", "aria-label": "More names" }, namesOf(sorted.slice(NAMED, NAMED_AT_MOST)));
  if (sorted.length > NAMED_AT_MOST) rest.append(element("p", {}, `and ${number(sorted.length - NAMED_AT_MOST)} more`));
  return element("div", {}, names, element("details", {}, element("summary", {}, `${number(sorted.length - NAMED)} more`), rest));
}

const namesOf = (skipped) =>
  element("ul", { class: "names" }, ...skipped.map(({ name, reason }) => element("li", {}, element("span", { class: "file-name" }, name), ` (${reason})`)));
