// The form that imports a model: sends the file, waits for the check, and shows the result.

import { newId, sentence } from "./api.js";
import { announce, byId, element, icon, setText, show } from "./dom.js";
import { wholePercent } from "./format.js";
import { postParts } from "./multipart.js";
import { modelLink } from "./model-links.js";

//: Parts of the request, and the form fields they come from.
const FIELDS = { file: "file", labels: "labels", name: "name", value_range: "value-range", resize: "resize", classifier: "classifier" };

/** Handle the form. @param {() => Promise<void>} onImported called after an import */
export function wireImport(onImported) {
  byId("import-form").addEventListener("submit", (event) => {
    event.preventDefault();
    send(onImported);
  });
  document.addEventListener("dragover", (event) => event.dataTransfer.types.includes("Files") && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    take(event.dataTransfer.files);
  });
}

/** Put a dropped file into the form, where its labels and name can be given before it is sent. @param {FileList} files */
function take(files) {
  byId("file").files = files;
  setError("file", null);
  byId("import").scrollIntoView({ block: "nearest" });
  byId("import-start").focus();
  announce(`${files[0].name} chosen.`);
}

async function send(onImported) {
  for (const field of Object.values(FIELDS)) setError(field, null);
  show("imported", false);
  if (!byId("file").files.length) return setError("file", "Choose a .keras, .h5, .onnx, .tflite or .zip file.", true);
  busy(true);
  try {
    const model = await postParts("/v1/models", formOf(), newId(), showShare, new AbortController().signal);
    byId("import-form").reset();
    await onImported();
    showImported(model);
  } catch (problem) {
    showErrors(problem);
  } finally {
    busy(false);
  }
  return undefined;
}

function formOf() {
  const form = new FormData();
  const [file] = byId("file").files;
  const labels = byId("labels").value.split("\n").map((line) => line.trim()).filter(Boolean);
  if (labels.length) form.append("labels", JSON.stringify(labels));
  for (const field of ["name", "value-range", "resize", "classifier"]) if (byId(field).value.trim()) form.append(byId(field).name, byId(field).value.trim());
  form.append("file", file, file.name);
  return form;
}

function busy(now) {
  show("importing", now);
  byId("import-start").disabled = now;
  if (now) showShare(0);
}

function showShare(share) {
  const bar = byId("import-progress");
  if (share < 1) bar.value = share;
  else bar.removeAttribute("value"); // the duration of the check is unknown
  setText("importing-text", share < 1 ? `Sending the file, ${wholePercent(share)}` : "The service checks the file and measures the model. This may take a minute.");
}

function showImported(model) {
  const measured = model.metrics ? "" : " Its accuracy has not been measured.";
  const notes = (model.notes ?? []).map((note) => ` ${note}`).join("");
  byId("imported").replaceChildren(icon("done"), element("span", {}, "Imported as ", modelLink(model.version), `.${measured}${notes} ${served(model)}`));
  show("imported", true);
  byId("imported").focus();
}

const served = (model) => (model.champion ? `It is the champion of the classifier ${model.classifier}.` : `Promote it to let it serve new jobs of ${model.classifier}.`);

/** Show each error beside its field, or beside the file if it names no field. */
function showErrors(problem) {
  const known = (problem.errors ?? []).filter(({ pointer }) => FIELDS[nameOf(pointer)]);
  for (const { pointer, detail } of known) setError(FIELDS[nameOf(pointer)], sentence(detail));
  if (!known.length) setError("file", [problem.title, problem.detail].filter(Boolean).join(" "));
  const first = known.length ? FIELDS[nameOf(known[0].pointer)] : "file";
  byId(first).focus();
  announce(byId(`${first}-fault`).textContent);
}

const nameOf = (pointer) => pointer.replace(/^\//, "").split("/")[0];

function setError(field, detail, focus = false) {
  setText(`${field}-fault`, detail ?? "");
  show(`${field}-fault`, Boolean(detail));
  if (detail) byId(field).setAttribute("aria-invalid", "true");
  else byId(field).removeAttribute("aria-invalid");
  if (focus) byId(field).focus();
}
