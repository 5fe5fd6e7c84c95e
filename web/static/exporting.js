// Exports of a version: buttons that have one made, and then download it.

import { request } from "./api.js";
import { onClick, showProblem } from "./buttons.js";
import { copyText } from "./copying.js";
import { byId, notice } from "./dom.js";

/** Seconds for which one request waits. */
const WAIT_S = 25;

/** Let the buttons in #export-formats download the version, and copy the example of its use. @param {string} version */
export function offerExports(version) {
  onClick("export-copy", async () => (await copyText(byId("export-example").textContent, "Commands", "export-copy-text")) && say("Copied."));
  const buttons = [...byId("export-formats").querySelectorAll("button")];
  buttons.forEach((button) => button.addEventListener("click", async () => {
    buttons.forEach((each) => { each.disabled = true; });
    notice(null);
    try {
      await download(`/v1/models/${version}/export?format=${button.value}`, button.textContent.trim());
    } catch (problem) {
      say("");
      showProblem(problem);
    } finally {
      buttons.forEach((each) => { each.disabled = false; });
    }
  }));
}

/** Wait until the zip is made, then save it. @param {string} address @param {string} format */
async function download(address, format) {
  say(`Preparing the export for ${format}. The first one takes up to a minute.`);
  while (!(await isMade(address)));
  say(`The export for ${format} is ready.`);
  location.assign(address);
}

/** Return whether the zip is made, without reading it. @param {string} address */
async function isMade(address) {
  const response = await request(address, { headers: { Prefer: `wait=${WAIT_S}` } });
  await response.body?.cancel();
  if (response.status !== 202) return true;
  await new Promise((resolve) => { setTimeout(resolve, 1000 * Number(response.headers.get("Retry-After") ?? 1)); });
  return false;
}

/** @param {string} text */
function say(text) {
  byId("export-state").textContent = text;
}
