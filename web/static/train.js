// The page that starts a training.

import { hasTrainWorker, newId, readCorrections, readModels, readPresets, sentence, startTraining } from "./api.js";
import { refuse } from "./buttons.js";
import { announce, byId, element, notice, setText, show } from "./dom.js";
import { keepDraft, readDraft } from "./draft.js";
import { Field, choiceCard } from "./fields.js";
import { about, duration, moment, number, plural, points } from "./format.js";
import { pause } from "./watch.js";

//: Milliseconds between two looks for a worker and for what can be trained.
const LOOK_MS = 5000;
//: The parameters that stand in front, and those of what it learns from.
const FIRST = ["epochs", "batch_size", "learning_rate", "augment", "label_smoothing", "patience", "seed"];
const APART = ["dataset", "base"];
//: What the rules of promotion mean, longest standing first.
const RULES = {
  never: ["Keep the champion", "Publish the new model and leave the choice to you."],
  if_better: ["Only if it is better", "It takes over where it beats the champion beyond chance on the same test images, and recognises no class much worse."],
  always: ["Take over at once", "It serves new jobs as soon as it is published, whatever its accuracy."],
};

let catalogue = null;
let models = [];
let corrections = null;
let fields = [];
let sent = { body: null, id: null };
const draft = asked(readDraft());

/** The draft with the preset and the version to begin with that a link named. */
function asked(kept) {
  const { preset, base } = Object.fromEntries(new URLSearchParams(location.search));
  if (!preset) return kept;
  const values = base ? { ...kept.values, [preset]: { ...kept.values[preset], base } } : kept.values;
  return { ...kept, preset, values };
}

/** Show the form as soon as the service says what can be trained. */
async function open() {
  for (;;) {
    try {
      [catalogue, models, corrections] = await Promise.all([readPresets(), readModels(), readCorrections()]);
      notice(null);
      return showForm();
    } catch (problem) {
      if (!problem.passing) return refuse(problem);
      show("empty", problem.status === 503);
      setText("empty-text", problem.detail);
      if (problem.status !== 503) notice(problem.title, problem.detail);
    }
    await pause(LOOK_MS);
  }
}

function showForm() {
  const names = catalogue.data.map(({ name }) => name);
  const preset = names.includes(draft.preset) ? draft.preset : names.includes("fast") ? "fast" : names[0];
  byId("presets").replaceChildren(...catalogue.data.map(presetCard));
  byId("promote").replaceChildren(...catalogue.common.promote.enum.map(ruleCard));
  choose("preset", preset);
  choose("promote", draft.common.promote ?? catalogue.common.promote.default);
  showPreset(preset);
  show("empty", false);
  show("form", true);
}

function choose(group, value) {
  const radios = Array.from(document.getElementsByName(group));
  (radios.find((radio) => radio.value === value) ?? radios[0]).checked = true;
}

const chosen = (group) => new FormData(byId("form")).get(group);
const presetOf = (name) => catalogue.data.find((preset) => preset.name === name);

function presetCard({ name, summary, cost }) {
  const time = cost.seconds === null ? "" : ` · about ${duration(cost.seconds)}`;
  const size = `${about(cost.parameters)} weights${time}`;
  return choiceCard("preset", name, element("strong", {}, name), element("span", {}, sentence(summary)), element("small", {}, size));
}

function ruleCard(rule) {
  const [title, text] = RULES[rule] ?? [rule, ""];
  return choiceCard("promote", rule, element("strong", {}, title), element("span", {}, text));
}

/** The fields of a preset, with what was entered for it before. */
function showPreset(name) {
  const { promote, ...common } = catalogue.common;
  const all = Object.entries({ ...presetOf(name).parameters, ...common });
  fields = all.map(([parameter, spec]) => new Field(parameter, spec, choicesOf[parameter]?.(name)));
  const kept = draft.values[name] ?? {};
  for (const field of fields) if (field.name in kept) field.value = kept[field.name];
  const others = fields.filter((field) => ![...FIRST, ...APART].includes(field.name));
  place("parameters", fields.filter((field) => FIRST.includes(field.name)));
  place("other-parameters", others);
  place("common", fields.filter((field) => APART.includes(field.name)));
  show("rest", others.length > 0);
  setText("rest-title", `${plural(others.length, "more setting")} of ${name}`);
  byId("rest").open = others.some((field) => field.isChanged);
  showSummary();
}

const place = (id, some) => byId(id).replaceChildren(...some.map((field) => field.element));

/** Choices that say more than the catalogue does, by the name of the parameter. */
const choicesOf = { base: basesOf, dataset: datasets };

function datasets() {
  const { total, needed } = corrections;
  const enough = total < needed ? `, of ${number(needed)} that it takes` : "";
  return [
    { value: "cifar10", text: "CIFAR-10" },
    { value: "cifar10+corrections", text: `CIFAR-10 and my corrections (${plural(total, "picture")}${enough})` },
  ];
}

function basesOf(name) {
  const fitting = models.filter(({ preset }) => preset === name);
  const text = ({ version, metrics, created_at: made }) => `${version} (${metrics ? points(metrics.accuracy) : "not measured"}, ${moment(made)})`;
  return [{ value: null, text: "Begin from nothing" }, ...fitting.map((model) => ({ value: model.version, text: text(model) }))];
}

function showSummary() {
  const { name, cost } = presetOf(chosen("preset"));
  const changed = fields.filter((field) => field.isChanged);
  const epochs = fields.find((field) => field.name === "epochs")?.value;
  const seconds = cost.seconds_per_epoch * epochs;
  setText("changes", changed.length ? `${plural(changed.length, "setting")} changed` : "All settings as the preset has them");
  show("reset", changed.length > 0);
  setText("summary-preset", name);
  setText("summary-time", seconds > 0 ? duration(seconds) : "–");
  const known = `${plural(epochs, "epoch")} of ${duration(cost.seconds_per_epoch)}, as the last training of this preset ran on ${cost.host}.`;
  setText("summary-basis", cost.seconds_per_epoch === null ? "Unknown until the first training of this preset." : seconds > 0 ? known : "");
}

/** What is sent: the preset fills in whatever is not given. */
function params() {
  const changed = fields.filter((field) => field.isChanged).map((field) => [field.name, field.value]);
  return { preset: chosen("preset"), promote: chosen("promote"), ...Object.fromEntries(changed) };
}

async function start() {
  notice(null);
  const wrong = fields.map((field) => ({ field, detail: field.check() })).filter(({ detail }) => detail);
  if (wrong.length) return showFaults(wrong);
  byId("start").disabled = true;
  try {
    const wanted = params();
    const body = JSON.stringify(wanted);
    if (sent.body !== body) sent = { body, id: newId() }; // a repeat of the same is the same training
    const job = await startTraining(wanted, sent.id);
    keepDraft(null);
    location.assign(job.links.page);
  } catch (problem) {
    refused(problem);
  } finally {
    byId("start").disabled = false;
  }
  return undefined;
}

/** What the service found wrong goes beside its field. */
function refused(problem) {
  const named = problem.faults?.map(({ pointer, detail }) => ({ name: pointer.replace(/^\/params\//, ""), detail: sentence(detail) })) ?? [];
  const placed = named.map(({ name, detail }) => ({ field: fields.find((field) => field.name === name), detail })).filter(({ field }) => field);
  if (!placed.length || placed.length < named.length) refuse(problem);
  if (placed.length) showFaults(placed);
}

function showFaults(faults) {
  for (const { field, detail } of faults) {
    field.refuse(detail);
    if (byId("rest").contains(field.element)) byId("rest").open = true;
  }
  faults[0].field.input.focus();
  announce(`${plural(faults.length, "setting")} cannot be used. ${faults[0].detail}`);
}

function keep() {
  const preset = chosen("preset");
  draft.preset = preset;
  draft.common.promote = chosen("promote");
  draft.values[preset] = Object.fromEntries(fields.filter((field) => field.isChanged).map((field) => [field.name, field.value]));
  keepDraft(draft);
}

async function lookForWorkers() {
  for (;;) {
    show("no-worker", (await hasTrainWorker()) === false);
    await pause(LOOK_MS);
  }
}

byId("form").addEventListener("input", ({ target }) => {
  if (target.name === "preset") showPreset(target.value);
  else showSummary();
  keep();
});
byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});
// Back from the browser's page cache the same settings are another training.
addEventListener("pageshow", ({ persisted }) => {
  if (persisted) sent = { body: null, id: null };
});
byId("reset").addEventListener("click", () => {
  for (const field of fields) field.value = field.spec.default;
  showSummary();
  keep();
  fields[0].input.focus();
});
open();
lookForWorkers();
