// The ways to add files to a dataset: buttons, paste, and drop on the page or on a label.

import { byId, show } from "./dom.js";
import { fromDrop, fromInput } from "./files.js";
import { dragsPictures } from "./picture-dragging.js";

const INPUTS = { "pick-files": "files", "pick-folder": "folder", "pick-camera": "camera" };

/** @param {(found: any, row: string | null) => void} onFound receives the files, and the label on whose row they were dropped or null */
export function wireAdding(onFound) {
  for (const [button, input] of Object.entries(INPUTS)) {
    byId(button).addEventListener("click", () => byId(input).click());
    byId(input).addEventListener("change", ({ target }) => {
      onFound(fromInput(target.files), null);
      target.value = ""; // so that choosing the same files again is a change
    });
  }
  show("pick-folder", "webkitdirectory" in HTMLInputElement.prototype);
  document.addEventListener("paste", ({ clipboardData }) => clipboardData.files.length && onFound(fromInput(clipboardData.files), null));
  wireDrop(onFound);
}

function wireDrop(onFound) {
  document.addEventListener("dragover", (event) => {
    if (dragsPictures(event)) return;
    event.preventDefault();
    const files = event.dataTransfer.types.includes("Files");
    document.body.classList.toggle("dragging", files);
    mark(files ? rowAt(event) : null);
  });
  document.addEventListener("dragleave", ({ relatedTarget }) => !relatedTarget && endDrag());
  document.addEventListener("drop", (event) => {
    if (dragsPictures(event)) return endDrag();
    event.preventDefault();
    const row = rowAt(event);
    endDrag();
    return onFound(fromDrop(event.dataTransfer), row?.dataset.label ?? null);
  });
}

const rowAt = ({ target }) => (target instanceof Element ? target.closest(".label-row") : null);

function mark(row) {
  for (const other of document.querySelectorAll(".label-row.drop-here")) other.classList.toggle("drop-here", other === row);
  row?.classList.add("drop-here");
}

function endDrag() {
  document.body.classList.remove("dragging");
  mark(null);
}
