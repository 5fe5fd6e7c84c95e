// What a version's card says, as pairs of a name and words.

import { about, bytes, duration, number, plural, points, rate } from "./format.js";

const NOT_MEASURED = "not measured";

/** The figures. @param {object} model @returns {[string, string][]} */
export function figuresOf({ metrics, calibration, size, latency }) {
  const error = metrics?.calibration_error ?? calibration?.error_after;
  return [
    ["Accuracy", metrics ? points(metrics.accuracy) : NOT_MEASURED],
    ["Loss", metrics ? metrics.loss.toFixed(4) : NOT_MEASURED],
    ["Calibration error", error === undefined ? NOT_MEASURED : points(error)],
    ["Weights", about(size.parameters)],
    ["File", bytes(size.file_bytes)],
    ["One image", `${latency.single_image_ms.toFixed(2)} ms`],
    [`Images/s by ${latency.batch_size}`, rate(latency.batch_images_per_second)],
  ];
}

/** How it looks at a picture. @param {object} model */
export function viewsOf({ metrics, dataset, views }) {
  const measured = metrics && dataset ? `Measured on ${number(dataset.test)} test images. ` : "";
  if (!views) return measured.trim();
  const either = `One view alone gives ${points(views.single_accuracy)}, six give ${points(views.six_accuracy)}.`;
  const served = {
    1: "It looks at each picture once.",
    6: "It looks at each picture in six views.",
    adaptive: `It looks once, and in six views where it is less than ${points(views.threshold)} sure: at ${points(views.share)} of the test images.`,
  }[views.served];
  return `${measured}${served} ${either}`;
}

/** How it does on corrected pictures; none where it learnt of none. @param {object} model @returns {[string, string][]} */
export function correctionsOf({ corrections }) {
  if (!corrections) return [];
  const { learnt, weight, held_out: held, accuracy, champion_accuracy: champion } = corrections;
  return [
    ["Learnt from", number(learnt)],
    ["Each counted", plural(weight, "time")],
    ["Held out", number(held)],
    ["Of those right", accuracy === null ? NOT_MEASURED : points(accuracy)],
    ["By the champion", champion === null ? NOT_MEASURED : points(champion)],
  ];
}

/** How it was made. @param {object} model @returns {[string, string | number | null][]} */
export function makingOf(model) {
  const { dataset, hardware, versions } = model;
  const images = dataset && `${number(dataset.train)} to learn from, ${number(dataset.validation)} for choices, ${number(dataset.test)} for the figures`;
  return [
    ["data set", dataset?.name ?? "not known"],
    ["images", images],
    ["data digest", dataset?.digest],
    ["seed", model.seed],
    ["training time", typeof model.training_seconds === "number" ? duration(model.training_seconds) : null],
    ["best epoch", model.best_epoch],
    ["imported from", model.source],
    ["code", model.code_version],
    ["processor", `${hardware.cpu}, ${hardware.cores} cores`],
    ["GPU", hardware.gpu],
    ["software", Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(", ")],
    ["input", `${model.input.height} × ${model.input.width} pixels`],
    ["file digest", model.file_sha256],
  ].filter(([, value]) => value !== null && value !== undefined);
}
