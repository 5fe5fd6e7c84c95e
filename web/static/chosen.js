// What was chosen, before anything is sent: how much it is, a few of it, and what will be left out.

import { bytesOf } from "./batches.js";
import { announce, byId, element, icon, setText, show } from "./dom.js";
import { bytes, number, plural } from "./format.js";
import { showPreviews } from "./previews.js";

//: Names of left out files that are listed at once, and when all are asked for.
const NAMED = 6;
const NAMED_AT_MOST = 500;
const byName = new Intl.Collator("en", { numeric: true });

/**
 * @param {any[]} choices @param {import("./files.js").LeftOut[]} leftOut
 * @param {{title: string, there: number} | null} before the interrupted upload that they belong to
 */
export function showChosen(choices, leftOut, before) {
  const what = inWords(choices);
  setText("chosen-title", `${what}, ${bytes(bytesOf(choices))}`);
  byId("start").replaceChildren(icon("upload"), before ? restInWords(choices.length - before.there) : `Classify ${what}`);
  show("chosen-before", Boolean(before));
  if (before) setText("chosen-before", `${number(before.there)} of them arrived before the upload${quoted(before.title)} was interrupted. They are not sent again.`);
  show("left-out", leftOut.length > 0);
  byId("left-out").replaceChildren(icon("alert"), element("div", {}, element("strong", {}, leftOutTitle(leftOut)), listOf(leftOut)));
  showPreviews(byId("previews"), choices);
  announce(`${what} chosen${leftOut.length ? `, ${plural(leftOut.length, "file")} left out` : ""}.`);
}

const restInWords = (count) => (count ? `Send the other ${number(count)}` : "Finish the upload");

/** A title in quotes, if there is one. @param {string} title */
export const quoted = (title) => (title ? ` “${title}”` : "");

function inWords(choices) {
  const archives = choices.filter(({ archive }) => archive).length;
  const parts = [[choices.length - archives, "picture"], [archives, "archive"]].filter(([count]) => count);
  return parts.map(([count, noun]) => plural(count, noun)).join(" and ");
}

const leftOutTitle = (leftOut) => (leftOut.length === 1 ? "1 file will not be sent" : `${number(leftOut.length)} files will not be sent`);

/** Names with their reasons, in order; the many are folded away. @param {import("./files.js").LeftOut[]} leftOut */
export function listOf(leftOut) {
  const sorted = leftOut.toSorted((one, other) => byName.compare(one.name, other.name));
  const names = namesOf(sorted.slice(0, NAMED));
  if (sorted.length <= NAMED) return names;
  const rest = element("div", { class: "names-rest", tabindex: 0, role: "group", "aria-label": "More names" }, namesOf(sorted.slice(NAMED, NAMED_AT_MOST)));
  if (sorted.length > NAMED_AT_MOST) rest.append(element("p", {}, `and ${number(sorted.length - NAMED_AT_MOST)} more`));
  return element("div", {}, names, element("details", {}, element("summary", {}, `${number(sorted.length - NAMED)} more`), rest));
}

const namesOf = (leftOut) =>
  element("ul", { class: "names" }, ...leftOut.map(({ name, reason }) => element("li", {}, element("span", { class: "file-name" }, name), ` (${reason})`)));
