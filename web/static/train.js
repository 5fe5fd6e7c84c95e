// The page that starts a training.

import { hasTrainWorker, newId, readCorrections, readModels, readPresets, sentence, startTraining } from "./api.js";
import { showProblem } from "./buttons.js";
import { announce, byId, element, notice, setText, show } from "./dom.js";
import { saveDraft, loadDraft } from "./draft.js";
import { Field, choiceCard } from "./fields.js";
import { OWN_PRESETS, compact, duration, moment, number, plural, precisePercent } from "./format.js";
import { sleep } from "./watch.js";

//: Milliseconds between two polls for presets and workers.
const POLL_MS = 5000;
//: Parameters that are always visible, and those about the training data.
const MAIN = ["epochs", "batch_size", "learning_rate", "augment", "label_smoothing", "patience", "seed"];
const DATA = ["dataset", "base"];
//: Titles and texts of the promotion rules.
const RULES = {
  never: ["Keep the champion", "Publish the new model without promoting it."],
  if_better: ["Promote if better", "Promote it if it is significantly better than the champion on the same test images, and not much worse in any class."],
  always: ["Always promote", "Promote it as soon as it is published, whatever its accuracy."],
};

let catalog = null;
let models = [];
let corrections = null;
let fields = [];
let sent = { body: null, id: null };
const draft = withLink(loadDraft());

/** Return the draft with the preset and base version that the page's address names. */
function withLink(kept) {
  const { preset, base } = Object.fromEntries(new URLSearchParams(location.search));
  if (!preset) return kept;
  const values = base ? { ...kept.values, [preset]: { ...kept.values[preset], base } } : kept.values;
  return { ...kept, preset, values };
}

/** Load the presets, waiting until a worker has published them. */
async function open() {
  for (;;) {
    try {
      [catalog, models, corrections] = await Promise.all([readPresets(), readModels(), readCorrections()]);
      catalog.data = catalog.data.filter(({ name }) => !OWN_PRESETS.includes(name)); // a dataset's page starts them
      notice(null);
      return showForm();
    } catch (problem) {
      if (!problem.retryable) return showProblem(problem);
      show("empty", problem.status === 503);
      setText("empty-text", problem.detail);
      if (problem.status !== 503) notice(problem.title, problem.detail);
    }
    await sleep(POLL_MS);
  }
}

function showForm() {
  const names = catalog.data.map(({ name }) => name);
  const preset = names.includes(draft.preset) ? draft.preset : names.includes("fast") ? "fast" : names[0];
  byId("presets").replaceChildren(...catalog.data.map(presetCard));
  byId("promote").replaceChildren(...catalog.common.promote.enum.map(ruleCard));
  choose("preset", preset);
  choose("promote", draft.common.promote ?? catalog.common.promote.default);
  showPreset(preset);
  show("empty", false);
  show("form", true);
}

function choose(group, value) {
  const radios = Array.from(document.getElementsByName(group));
  (radios.find((radio) => radio.value === value) ?? radios[0]).checked = true;
}

const chosen = (group) => new FormData(byId("form")).get(group);
const presetOf = (name) => catalog.data.find((preset) => preset.name === name);

function presetCard({ name, summary, cost }) {
  const time = cost.seconds === null ? "" : ` · about ${duration(cost.seconds)}`;
  const size = `${compact(cost.parameters)} weights${time}`;
  return choiceCard("preset", name, element("strong", {}, name), element("span", {}, sentence(summary)), element("small", {}, size));
}

function ruleCard(rule) {
  const [title, text] = RULES[rule] ?? [rule, ""];
  return choiceCard("promote", rule, element("strong", {}, title), element("span", {}, text));
}

/** Show the fields of a preset, filled from the draft. */
function showPreset(name) {
  const { promote, ...common } = catalog.common;
  const all = Object.entries({ ...presetOf(name).parameters, ...common });
  fields = all.map(([parameter, spec]) => new Field(parameter, spec, choicesOf[parameter]?.(name)));
  const kept = draft.values[name] ?? {};
  for (const field of fields) if (field.name in kept) field.value = kept[field.name];
  const others = fields.filter((field) => ![...MAIN, ...DATA].includes(field.name));
  fill("parameters", fields.filter((field) => MAIN.includes(field.name)));
  fill("other-parameters", others);
  fill("common", fields.filter((field) => DATA.includes(field.name)));
  show("rest", others.length > 0);
  setText("rest-title", `${plural(others.length, "more setting")} of ${name}`);
  byId("rest").open = others.some((field) => field.isChanged);
  showSummary();
}

const fill = (id, some) => byId(id).replaceChildren(...some.map((field) => field.element));

function datasets() {
  const { total, needed } = corrections;
  const enough = total < needed ? `, at least ${number(needed)} needed` : "";
  return [
    { value: "cifar10", text: "CIFAR-10" },
    { value: "cifar10+corrections", text: `CIFAR-10 and my corrections (${plural(total, "picture")}${enough})` },
  ];
}

const versionChoice = ({ version, metrics, created_at: made }) => ({ value: version, text: `${version} (${metrics ? precisePercent(metrics.accuracy) : "not measured"}, ${moment(made)})` });

const basesOf = (name) => [{ value: null, text: "Start from scratch" }, ...models.filter(({ preset }) => preset === name).map(versionChoice)];

const teachers = () => [{ value: null, text: "The version that serves now" }, ...models.map(versionChoice)];

/** Choices that the page describes itself, by parameter name. */
const choicesOf = { base: basesOf, dataset: datasets, teacher: teachers };

function showSummary() {
  const { name, cost } = presetOf(chosen("preset"));
  const changed = fields.filter((field) => field.isChanged);
  const epochs = fields.find((field) => field.name === "epochs")?.value;
  const seconds = cost.seconds_per_epoch * epochs;
  setText("changes", changed.length ? `${plural(changed.length, "setting")} changed` : "All settings have their defaults");
  show("reset", changed.length > 0);
  setText("summary-preset", name);
  setText("summary-time", seconds > 0 ? duration(seconds) : "–");
  const known = `${plural(epochs, "epoch")} of ${duration(cost.seconds_per_epoch)}, measured in the last training of this preset on ${cost.host}.`;
  setText("summary-basis", cost.seconds_per_epoch === null ? "Unknown until the first training of this preset." : seconds > 0 ? known : "");
}

/** Return the changed parameters. The service fills in the preset's defaults. */
function params() {
  const changed = fields.filter((field) => field.isChanged).map((field) => [field.name, field.value]);
  return { preset: chosen("preset"), promote: chosen("promote"), ...Object.fromEntries(changed) };
}

async function start() {
  notice(null);
  const wrong = fields.map((field) => ({ field, detail: field.check() })).filter(({ detail }) => detail);
  if (wrong.length) return showErrors(wrong);
  byId("start").disabled = true;
  try {
    const wanted = params();
    const body = JSON.stringify(wanted);
    if (sent.body !== body) sent = { body, id: newId() }; // a repeat of the same request must not start another training
    const job = await startTraining(wanted, sent.id);
    saveDraft(null);
    location.assign(job.links.page);
  } catch (problem) {
    showRejection(problem);
  } finally {
    byId("start").disabled = false;
  }
  return undefined;
}

/** Show each of the service's errors beside its field. */
function showRejection(problem) {
  const named = problem.errors?.map(({ pointer, detail }) => ({ name: pointer.replace(/^\/params\//, ""), detail: sentence(detail) })) ?? [];
  const placed = named.map(({ name, detail }) => ({ field: fields.find((field) => field.name === name), detail })).filter(({ field }) => field);
  if (!placed.length || placed.length < named.length) showProblem(problem);
  if (placed.length) showErrors(placed);
}

function showErrors(errors) {
  for (const { field, detail } of errors) {
    field.setError(detail);
    if (byId("rest").contains(field.element)) byId("rest").open = true;
  }
  errors[0].field.input.focus();
  announce(`${plural(errors.length, "invalid setting")}. ${errors[0].detail}`);
}

function keepDraft() {
  const preset = chosen("preset");
  draft.preset = preset;
  draft.common.promote = chosen("promote");
  draft.values[preset] = Object.fromEntries(fields.filter((field) => field.isChanged).map((field) => [field.name, field.value]));
  saveDraft(draft);
}

async function pollWorkers() {
  for (;;) {
    show("no-worker", (await hasTrainWorker()) === false);
    await sleep(POLL_MS);
  }
}

byId("form").addEventListener("input", ({ target }) => {
  if (target.name === "preset") showPreset(target.value);
  else showSummary();
  keepDraft();
});
byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});
// After a return from the browser's page cache, the same settings mean another training.
addEventListener("pageshow", ({ persisted }) => {
  if (persisted) sent = { body: null, id: null };
});
byId("reset").addEventListener("click", () => {
  for (const field of fields) field.value = field.spec.default;
  showSummary();
  keepDraft();
  fields[0].input.focus();
});
open();
pollWorkers();
