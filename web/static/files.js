// Splits the chosen or dropped files into those to send and those to skip, with reasons.

import { bytes, number } from "./format.js";
import { kindsOf } from "./file-types.js";

//: Raw photos. They begin like TIFF files, but each maker has its own format.
const RAW = /\.(cr2|nef|arw|dng|orf|pef|srw)$/i;
//: Extensions of pictures and archives.
const PICTURES = /\.(jpe?g|jpe|jfif|png|webp|gif|bmp|dib|tiff?|avif|hei[cf]|hif|zip|tar|tgz|gz|tbz2?|bz2|txz|xz|tzst|zst)$/i;

/**
 * @typedef {{file: File | null, name: string}} Found `name` is the path in the dropped folder; `file` is null if it cannot be read
 * @typedef {{file: File, name: string, archive: boolean}} Choice
 * @typedef {{name: string, reason: string}} Skipped
 * @typedef {{maxFileBytes: number, maxRequestBytes: number, maxItems: number, junk: RegExp}} Limits `junk` matches paths of files that systems add
 */

/** Return the files of an `<input>`, with their paths. @param {Iterable<File>} list */
export const fromInput = (list) => Array.from(list, (file) => ({ file, name: file.webkitRelativePath || file.name }));

/**
 * Return all dropped files, including those in folders. Call it within the event handler: the browser clears the transfer after it.
 * @param {DataTransfer} transfer @param {(found: number) => void} onFound reports progress
 */
export function fromDrop(transfer, onFound = () => {}) {
  const entries = Array.from(transfer.items ?? [], (item) => (item.kind === "file" ? item.webkitGetAsEntry?.() : null));
  const known = entries.filter(Boolean);
  return known.length ? walk(known, onFound) : Promise.resolve(fromInput(transfer.files));
}

/**
 * Return every file under these entries, and each entry that cannot be read.
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
      found.push({ file: null, name }); // it was removed, or access is denied
    }
    if (found.length % 200 === 0) onFound(found.length);
  }
  return found;
}

/** Return a folder's entries. `readEntries` returns at most a hundred, and an empty list at the end. */
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
 * Split the files into those to send and those to skip.
 * @param {Found[]} found @param {Limits} limits @param {(done: number) => void} onDone
 * @returns {Promise<{choices: Choice[], skipped: Skipped[]}>}
 */
export async function checkFiles(found, limits, onDone = () => {}) {
  const kinds = await kindsOf(found.map(({ file }) => file), onDone);
  const choices = [];
  const skipped = [];
  found.forEach(({ file, name }, index) => {
    const archive = kinds[index] === "archive";
    const reason = rejectionReason(file, name, kinds[index], limits);
    if (reason) skipped.push({ name, reason });
    else choices.push({ file, name, archive });
  });
  return { choices, skipped };
}

/** Return why a file is skipped, or an empty text. The service checks what the first bytes do not tell. */
function rejectionReason(file, name, kind, limits) {
  if (isJunk(name, limits.junk)) return "added by the system";
  if (kind === "unreadable") return "cannot be read on this computer";
  if (!file.size) return "empty";
  if (RAW.test(name)) return "raw photo";
  if (kind === null) return PICTURES.test(name) ? "content is not an image" : "not an image";
  const most = kind === "archive" ? limits.maxRequestBytes : limits.maxFileBytes;
  return file.size > most ? `${bytes(file.size)}, more than ${bytes(most)}` : "";
}

/** Whether an operating system or a photo program added this file to the chosen folder, whose name begins the path. */
const isJunk = (name, junk) => junk.test(name) || junk.test(name.slice(name.indexOf("/") + 1));

/** Return an error if a job cannot hold all of these files, otherwise an empty text. @param {Choice[]} choices @param {Limits} limits */
export function tooManyFiles(choices, limits) {
  if (choices.length <= limits.maxItems) return "";
  return `You chose ${number(choices.length)} files, but a job holds at most ${number(limits.maxItems)}. Send them as several jobs.`;
}

/** Return a title for the job: the common top folder, or the name of the only file. @param {Choice[]} choices */
export function titleOfFiles(choices) {
  if (choices.length === 1) return choices[0].name.split("/").pop();
  const tops = new Set(choices.map(({ name }) => (name.includes("/") ? name.split("/")[0] : "")));
  return tops.size === 1 ? [...tops][0] : "";
}
