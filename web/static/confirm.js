// Asks for confirmation.

import { byId } from "./dom.js";

/**
 * Ask in the page's dialog. Resolve to true if confirmed; Escape cancels.
 * @param {{title: string, text: (Node | string)[], yes: string, no?: string, danger?: boolean}} question
 * @returns {Promise<boolean>}
 */
export function confirmed({ title, text, yes, no = "Back", danger = false }) {
  const dialog = byId("confirm");
  byId("confirm-title").textContent = title;
  byId("confirm-text").replaceChildren(...text);
  byId("confirm-no").textContent = no;
  byId("confirm-yes").textContent = yes;
  byId("confirm-yes").className = `btn ${danger ? "btn-danger" : "btn-accent"}`;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
