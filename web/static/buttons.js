// Buttons that ask the service for something.

import { byId, notice } from "./dom.js";

/** Say in words why something could not be done. @param {any} problem */
export function refuse(problem) {
  notice(problem.title ?? "That did not work.", problem.detail ?? problem.message);
  byId("notice").focus();
}

/** Do `work` when a button is pressed, and say where it cannot be done. @param {string} id @param {() => any} work */
export function does(id, work) {
  const button = byId(id);
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      notice(null);
      await work();
    } catch (problem) {
      refuse(problem);
    } finally {
      button.disabled = false;
    }
  });
}
