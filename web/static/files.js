// From what somebody picked or dropped to the files that can be sent, and those that cannot, each with its reason.

import { bytes, number } from "./format.js";
import { kindsOf } from "./heads.js";

//: Raw photos, which are TIFF files by their first bytes, though nobody but their makers can read them.
const RAW = /\.(cr2|nef|arw|dng|orf|pef|srw)$/i;
//: Names that promise a picture, or an archive of some.
const PICTURES = /\.(jpe?g|jpe|jfif|png|webp|gif|bmp|dib|tiff?|avif|hei[cf]|hif|zip|tar|tgz|gz)$/i;

/**
 * @typedef {{file: File | null, name: string}} Found `name` with the folders that it lay in; no file where it cannot be read
 * @typedef {{file: File, name: string, archive: boolean}} Choice
 * @typedef {{name: string, reason: string}} LeftOut
 * @typedef {{maxFileBytes: number, maxRequestBytes: number, maxItems: number, formats: string}} Limits
 */

/** The files of an `<input>`, with their folders. @param {Iterable<File>} list */
export const fromInput = (list) => Array.from(list, (file) => ({ file, name: file.webkitRelativePath || file.name }));

/**
 * All files of a drop, also those in folders. Must be called in the event's own turn: the browser empties it afterwards.
 * @param {DataTransfer} transfer @param {(found: number) => void} onFound called now and then
 */
export function fromDrop(transfer, onFound = () => {}) {
  const entries = Array.from(transfer.items ?? [], (item) => (item.kind === "file" ? item.webkitGetAsEntry?.() : null));
  const known = entries.filter(Boolean);
  return known.length ? walk(known, onFound) : Promise.resolve(fromInput(transfer.files));
}

/**
 * Every file under these entries, folder by folder, and what of them cannot be read.
 * @param {any[]} entries @param {(found: number) => void} onFound @returns {Promise<Found[]>}
 */
async function walk(entries, onFound) {
  const found = [];
  const waiting = entries.toReversed();
  while (waiting.length) {
    const entry = waiting.pop();
    const name = entry.fullPath.replace(/^\//, "");
    try {
      if (entry.isDirectory) (await childrenOf(entry)).toReversed().forEach((child) => waiting.push(child));
      else found.push({ file: await new Promise((resolve, reject) => entry.file(resolve, reject)), name });
    } catch {
      found.push({ file: null, name }); // it went away meanwhile, or is not this person's
    }
    if (found.length % 200 === 0) onFound(found.length);
  }
  return found;
}

/** A folder's entries. One call of `readEntries` gives at most a hundred, and an empty list at the end. */
async function childrenOf(folder) {
  const reader = folder.createReader();
  const children = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return children;
    children.push(...some);
  }
}

/**
 * Which files to send, and which to leave out.
 * @param {Found[]} found @param {Limits} limits @param {(done: number) => void} onDone
 * @returns {Promise<{choices: Choice[], leftOut: LeftOut[]}>}
 */
export async function sort(found, limits, onDone = () => {}) {
  const kinds = await kindsOf(found.map(({ file }) => file), onDone);
  const choices = [];
  const leftOut = [];
  found.forEach(({ file, name }, index) => {
    const archive = kinds[index] === "archive";
    const reason = whyNot(file, name, kinds[index], limits);
    if (reason) leftOut.push({ name, reason });
    else choices.push({ file, name, archive });
  });
  return { choices, leftOut };
}

/** Why a file is not worth sending, or an empty text. What cannot be told from its beginning, the server tells. */
function whyNot(file, name, kind, limits) {
  if (kind === "unreadable") return "cannot be read on this computer";
  if (!file.size) return "empty";
  if (RAW.test(name)) return "a camera's raw photo";
  if (kind === null) return PICTURES.test(name) ? "its content is no picture" : "not a picture";
  const most = kind === "archive" ? limits.maxRequestBytes : limits.maxFileBytes;
  return file.size > most ? `${bytes(file.size)}, more than ${bytes(most)}` : "";
}

/** What stands against this selection as a whole, or an empty text. @param {Choice[]} choices @param {Limits} limits */
export function tooMany(choices, limits) {
  if (choices.length <= limits.maxItems) return "";
  return `These are ${number(choices.length)} files; one job takes ${number(limits.maxItems)}. Send them in several jobs.`;
}

/** A name for the job: the one folder that all files lay in, or the only file. @param {Choice[]} choices */
export function titleFor(choices) {
  if (choices.length === 1) return choices[0].name.split("/").pop();
  const tops = new Set(choices.map(({ name }) => (name.includes("/") ? name.split("/")[0] : "")));
  return tops.size === 1 ? [...tops][0] : "";
}
