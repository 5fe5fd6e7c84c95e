// Where the model looked: a heatmap over the enlarged picture, for one of its predicted classes.

import { heatmapAddress, request } from "./api.js";
import { predictionRow } from "./cards.js";
import { byId, element, icon } from "./dom.js";

const HINT = "Choose a class to see where the model looked.";

/** The predictions of the enlarged picture, each a button that shows its heatmap. */
export class Looks {
  /** @param {string} jobId */
  constructor(jobId) {
    Object.assign(this, { jobId, key: null, asked: null });
    byId("viewer-shares").addEventListener("click", ({ target }) => {
      const button = target.closest("button");
      if (button) this.#toggle(button);
    });
  }

  /** Show the predictions of an item. Predictions never change, so the buttons of the same item stay. @param {object} item */
  show(item) {
    if (item.key === this.key) return;
    this.clear();
    this.key = item.key;
    byId("viewer-shares").replaceChildren(...item.predictions.map(lookRow));
  }

  /** Remove the heatmap. */
  clear() {
    this.asked?.abort();
    this.asked = null;
    for (const button of byId("viewer-shares").querySelectorAll("[aria-pressed=true]")) button.setAttribute("aria-pressed", "false");
    const heatmap = byId("viewer-heatmap");
    URL.revokeObjectURL(heatmap.src);
    heatmap.hidden = true;
    heatmap.removeAttribute("src");
    say("", HINT);
  }

  #toggle(button) {
    const wasOn = button.getAttribute("aria-pressed") === "true";
    this.clear();
    if (wasOn) return;
    button.setAttribute("aria-pressed", "true");
    this.asked = new AbortController();
    this.#show(button, this.asked.signal);
  }

  async #show({ value: label }, signal) {
    say("busy", icon("again"), ` Finding where it looked for ${label}…`);
    try {
      const answer = await request(heatmapAddress(this.jobId, this.key, label), { cache: "default", signal });
      lay(await answer.blob(), signal);
      if (!signal.aborted) say("", `Where it looked for ${label}: the brighter a part, the more it speaks for this class.`);
    } catch (problem) {
      if (signal.aborted) return;
      this.clear();
      say("failed", element("strong", {}, `It cannot be shown where it looked for ${label}.`), ` ${problem.message}`);
    }
  }
}

/** Return a prediction as a list element with a button. @param {{label: string, score: number}} prediction */
function lookRow(prediction) {
  const button = element("button", { type: "button", value: prediction.label, "aria-pressed": "false" });
  button.append(icon("eye"), ...predictionRow(prediction).childNodes);
  return element("li", {}, button);
}

/** Lay a heatmap over the picture, unless another one was asked for. @param {Blob} picture @param {AbortSignal} signal */
function lay(picture, signal) {
  if (signal.aborted) return;
  const heatmap = byId("viewer-heatmap");
  heatmap.src = URL.createObjectURL(picture);
  heatmap.hidden = false;
}

/** Say below the picture what it shows. @param {string} state "busy", "failed" or "" @param {...(Node | string)} text */
function say(state, ...text) {
  byId("viewer-look").dataset.state = state;
  byId("viewer-look").replaceChildren(...text);
}
