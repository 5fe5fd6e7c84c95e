// Pictures of a dataset are dragged onto a label, which they get.

//: What is dragged; files from outside have other types.
const TYPE = "application/x-darkroom-pictures";
const ROWS = ".label-row, [data-state='unlabelled']";

/** Whether pictures of the page are dragged. @param {DragEvent} event */
export const dragsPictures = ({ dataTransfer }) => dataTransfer.types.includes(TYPE);

/**
 * @param {HTMLElement} cards @param {() => Set<string>} selected ids
 * @param {(label: string | null, ids: string[]) => void} onDrop
 */
export function wireDragging(cards, selected, onDrop) {
  cards.addEventListener("dragstart", (event) => {
    const card = event.target instanceof Element ? event.target.closest("[data-key]") : null;
    if (!card) return;
    const ids = draggedIds(card.dataset.key, selected());
    event.dataTransfer.clearData(); // an image would be dragged as a file
    event.dataTransfer.setData(TYPE, JSON.stringify(ids));
    event.dataTransfer.effectAllowed = "move";
  });
  document.addEventListener("dragover", (event) => {
    if (!dragsPictures(event)) return;
    const row = rowAt(event);
    mark(row);
    if (row) event.preventDefault();
  });
  document.addEventListener("drop", (event) => {
    if (!dragsPictures(event)) return;
    event.preventDefault();
    const row = rowAt(event);
    if (row) onDrop(row.dataset.label || null, JSON.parse(event.dataTransfer.getData(TYPE)));
  });
  document.addEventListener("dragend", () => mark(null));
}

/** Return what is dragged: all chosen pictures if the dragged one is among them. @param {string} id @param {Set<string>} selected */
export const draggedIds = (id, selected) => (selected.has(id) ? [...selected] : [id]);

const rowAt = ({ target }) => (target instanceof Element ? target.closest(ROWS) : null);

function mark(row) {
  for (const other of document.querySelectorAll(".drop-here")) other.classList.toggle("drop-here", other === row);
  row?.classList.add("drop-here");
}
