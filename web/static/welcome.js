// The hint for somebody who is here for the first time. Once closed, it stays closed in this browser.

import { byId, show } from "./dom.js";
import { loadAll, save } from "./storage.js";

//: localStorage key of the closed hint.
const CLOSED = "darkroom.welcomed";

/** Whether the hint is still open. */
export const isWelcome = () => !loadAll(CLOSED).length;

/** Let the hint be closed. @param {() => void} then called once it is */
export function wireWelcome(then) {
  byId("welcome-close").addEventListener("click", () => {
    save(CLOSED, true);
    show("welcome", false);
    then();
  });
}
