// The report on a dataset: what would make its classifier better.

import { readReport } from "./datasets-api.js";
import { byId, element, show } from "./dom.js";
import { adviceOf } from "./report-words.js";

/** Show the report. @param {string} name of the dataset @param {(what: "doubted" | "unlabelled") => void} review shows pictures that it is about */
export async function showReport(name, review) {
  const report = await readReport(name);
  const lines = adviceOf(report);
  byId("report-lines").replaceChildren(...lines.map((line) => rowOf(line, review)));
  show("report", lines.length > 0);
  show("report-stale", report.computed?.stale ?? false);
}

function rowOf({ text, show: what }, review) {
  if (!what) return element("li", {}, text);
  const button = element("button", { type: "button", class: "btn btn-quiet" }, "Show them");
  button.addEventListener("click", () => review(what));
  return element("li", {}, text, " ", button);
}
