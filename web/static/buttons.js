// Buttons that call the service.

import { byId, notice } from "./dom.js";

/** Show an error and move the focus to it. @param {any} problem */
export function showProblem(problem) {
  notice(problem.title ?? "Something went wrong.", problem.detail ?? problem.message);
  byId("notice").focus();
}

/** Run `work` when a button is clicked, and show its error. The button is disabled meanwhile. @param {string} id @param {() => any} work */
export function onClick(id, work) {
  const button = byId(id);
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      notice(null);
      await work();
    } catch (problem) {
      showProblem(problem);
    } finally {
      button.disabled = false;
    }
  });
}
