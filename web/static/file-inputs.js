// The ways to choose files: buttons, drop, paste, camera and samples.

import { byId, show } from "./dom.js";
import { fromDrop, fromInput } from "./files.js";

//: Buttons and the file inputs that they open.
const INPUTS = { "pick-files": "files", "pick-folder": "folder", "pick-camera": "camera", more: "files" };

/**
 * @typedef {import("./files.js").Found[]} Found
 * @param {(found: Found | Promise<Found>) => void} onFound
 * @param {(count: number) => void} onReading reports progress while a dropped folder is read
 */
export function wirePicking(onFound, onReading) {
  for (const [button, input] of Object.entries(INPUTS)) byId(button).addEventListener("click", () => byId(input).click());
  for (const id of new Set(Object.values(INPUTS))) {
    byId(id).addEventListener("change", ({ target }) => {
      onFound(fromInput(target.files));
      target.value = ""; // so that choosing the same files again is a change
    });
  }
  show("pick-folder", "webkitdirectory" in HTMLInputElement.prototype);
  wirePaste(onFound);
  wireDrop(onFound, onReading);
}

function wirePaste(onFound) {
  show("paste", Boolean(navigator.clipboard?.read)); // HTTPS and localhost only; Ctrl+V works everywhere
  byId("paste").addEventListener("click", () => onFound(fromClipboard()));
  document.addEventListener("paste", ({ clipboardData }) => clipboardData.files.length && onFound(fromInput(clipboardData.files)));
}

async function fromClipboard() {
  const items = await navigator.clipboard.read().catch(() => []); // forbidden or empty
  const found = [];
  for (const item of items) {
    const type = item.types.find((name) => name.startsWith("image/"));
    if (!type) continue;
    const name = `pasted.${type.slice("image/".length)}`;
    found.push({ file: new File([await item.getType(type)], name, { type }), name });
  }
  if (!found.length) throw new Error("The clipboard has no picture, or this page may not read it.");
  return found;
}

function wireDrop(onFound, onReading) {
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.toggle("dragging", event.dataTransfer.types.includes("Files"));
  });
  document.addEventListener("dragleave", ({ relatedTarget }) => !relatedTarget && document.body.classList.remove("dragging"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dragging");
    onFound(fromDrop(event.dataTransfer, onReading));
  });
}

/** Return the sample pictures that the page shows. @returns {Promise<Found>} */
export async function samples() {
  const addresses = Array.from(byId("samples").querySelectorAll("img"), ({ src }) => src);
  return Promise.all(addresses.map(sample));
}

async function sample(address) {
  const name = new URL(address).pathname.split("/").pop();
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${name} could not be loaded.`);
  return { file: new File([await answer.blob()], name, { lastModified: 0 }), name };
}
