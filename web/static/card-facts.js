// The facts of a model card as pairs of name and text.

import { intervalText } from "./accuracy.js";
import { compact, bytes, duration, number, plural, precisePercent, rate } from "./format.js";

const NOT_MEASURED = "not measured";

/** Return the measured figures. @param {object} model @returns {[string, string][]} */
export function figuresOf({ metrics, calibration, size, latency }) {
  const error = metrics?.calibration_error ?? calibration?.error_after;
  return [
    ["Accuracy", metrics ? withInterval(metrics) : NOT_MEASURED],
    ["Loss", metrics ? metrics.loss.toFixed(4) : NOT_MEASURED],
    ["Calibration error", error === undefined ? NOT_MEASURED : precisePercent(error)],
    ["Weights", compact(size.parameters)],
    ["File", bytes(size.file_bytes)],
    ["One image", `${latency.single_image_ms.toFixed(2)} ms`],
    [`Images/s (batch of ${number(latency.batch_size)})`, rate(latency.batch_images_per_second)],
  ];
}

function withInterval({ accuracy, accuracy_interval: interval }) {
  return interval ? `${precisePercent(accuracy)} (${intervalText(interval)})` : precisePercent(accuracy);
}

/** Describe how many views of a picture the model averages. @param {object} model */
export function viewsOf({ metrics, dataset, views }) {
  const measured = metrics && dataset ? `Measured on ${number(dataset.test)} test images. ` : "";
  if (!views) return measured.trim();
  const either = `Accuracy with one view: ${precisePercent(views.single_accuracy)}; with six: ${precisePercent(views.six_accuracy)}.`;
  const served = {
    1: "It classifies one view of each picture.",
    6: "It averages six views of each picture.",
    adaptive: `It classifies one view, and averages six if its confidence is below ${precisePercent(views.threshold)}: ${precisePercent(views.share)} of the test images.`,
  }[views.served];
  return `${measured}${served} ${either}`;
}

/** Return the figures about corrected pictures; none if it was not trained on any. @param {object} model @returns {[string, string][]} */
export function correctionsOf({ corrections }) {
  if (!corrections) return [];
  const { learnt, weight, held_out: held, accuracy, champion_accuracy: champion } = corrections;
  return [
    ["Trained on", number(learnt)],
    ["Repeated", plural(weight, "time")],
    ["Held out", number(held)],
    ["Accuracy on those", accuracy === null ? NOT_MEASURED : precisePercent(accuracy)],
    ["Champion's accuracy", champion === null ? NOT_MEASURED : precisePercent(champion)],
  ];
}

/** Return where the version came from. @param {object} model @returns {[string, string | number | null][]} */
export function provenanceOf(model) {
  const { backbone, dataset, hardware, versions } = model;
  const images = dataset && `${number(dataset.train)} for training, ${number(dataset.validation)} for validation, ${number(dataset.test)} for the test`;
  return [
    ["dataset", dataset?.name ?? "unknown"],
    ["images", images],
    ["dataset digest", dataset?.digest],
    ["pretrained network", backbone?.version === model.version ? null : backbone?.version],
    ["seed", model.seed],
    ["training time", typeof model.training_seconds === "number" ? duration(model.training_seconds) : null],
    ["best epoch", model.best_epoch],
    ["imported from", model.source],
    ["found at the import", model.notes?.join(" ") || null],
    ["code", model.code_version],
    ["processor", `${hardware.cpu}, ${hardware.cores} cores`],
    ["GPU", hardware.gpu],
    ["software", Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(", ")],
    ["input", `${model.input.height} × ${model.input.width} pixels`],
    ["file digest", model.file_sha256],
  ].filter(([, value]) => value !== null && value !== undefined);
}
