// The report on a dataset: what would make its classifier better.

import { readDataset, readReport } from "./datasets-api.js";
import { byId, element, show } from "./dom.js";
import { adviceOf } from "./report-words.js";
import { sleep } from "./watch.js";

//: Milliseconds between two reads of a report that is being computed, and reads before the page is left as it is.
const POLL_MS = 2500;
const POLLS = 60;

let shown = ""; // the lines on the page: the same ones keep their focus

/** Show the report and return it. @param {string} name of the dataset @param {(what: import("./report-words.js").Shown, id?: string) => void} review shows pictures that it is about */
export async function showReport(name, review) {
  const report = await readReport(name);
  const lines = adviceOf(report);
  const text = JSON.stringify(lines);
  if (text !== shown) byId("report-lines").replaceChildren(...lines.map((line) => rowOf(line, review)));
  shown = text;
  show("report", lines.length > 0);
  show("report-stale", report.computed?.stale ?? false);
  return report;
}

/** Wait for a report on the dataset as it is now, and show it. @param {string} name @param {(what: import("./report-words.js").Shown, id?: string) => void} review */
export async function awaitReport(name, review) {
  const { revision } = await readDataset(name);
  for (let polls = 0; polls < POLLS; polls += 1) {
    const { computed } = await showReport(name, review);
    if (computed && computed.revision >= revision) return;
    await sleep(POLL_MS);
  }
}

function rowOf({ text, show: what, id, decide, add = [] }, review) {
  const buttons = add.flatMap((label) => [" ", buttonOf(`Add pictures of ${label}`, () => review("add", label))]);
  if (decide) buttons.push(" ", buttonOf("Decide one by one", () => review(decide)));
  if (what) buttons.push(" ", buttonOf("Show them", () => review(what, id)));
  return element("li", {}, text, ...buttons);
}

function buttonOf(text, onPress) {
  const button = element("button", { type: "button", class: "btn btn-quiet" }, text);
  button.addEventListener("click", onPress);
  return button;
}
