// The hint for somebody who is here for the first time. Once closed, it stays closed in this browser.

import { byId, show } from "./dom.js";
import { loadAll, save } from "./storage.js";

//: localStorage key of the closed hint.
const CLOSED = "darkroom.welcomed";
//: The part of the address that opens it again.
const ADDRESS = "#welcome";

/** Whether the hint is still open. */
export const isWelcome = () => location.hash === ADDRESS || !loadAll(CLOSED).length;

/** Let the hint be closed, and opened by its address. @param {() => void} then called once it is closed @param {() => void} open called when it is asked for */
export function wireWelcome(then, open) {
  addEventListener("hashchange", () => location.hash === ADDRESS && open());
  byId("welcome-close").addEventListener("click", () => {
    save(CLOSED, true);
    if (location.hash === ADDRESS) history.replaceState(null, "", location.pathname + location.search);
    show("welcome", false);
    then();
  });
}
