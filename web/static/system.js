// The system page: queues, workers, speed and free space.

import { readQueues, readSystem } from "./api.js";
import { Chart } from "./charts.js";
import { announce, arrange, byId, element, notice, setText, show } from "./dom.js";
import { bytes, duration, inPercent, moment, number, plural, rate } from "./format.js";
import { modelLink } from "./model-links.js";
import { pair } from "./training-outcome.js";
import { sleep } from "./watch.js";

//: Milliseconds between two polls. A hidden tab does not poll.
const POLL_MS = 5000;
const QUEUES = { interactive: "Small jobs", bulk: "Big jobs", train: "Trainings" };

const chart = new Chart("chart-images", { x: "Minutes until now", y: "", yFormat: "~s", counts: true });
let drawn = null;
let loop = null;

/** Poll while the page is visible. */
async function follow() {
  loop?.abort();
  const { signal } = (loop = new AbortController());
  while (!signal.aborted && !document.hidden) {
    await refresh(signal);
    await sleep(POLL_MS, signal);
  }
}

async function refresh(signal) {
  try {
    const [{ data: queues, workers, code }, room] = await Promise.all([readQueues(signal), readSystem(signal)]);
    notice(null);
    showQueues(queues);
    showWorkers(workers, code);
    showRoom(room);
    show("system", true);
    announce(describe(queues, workers));
    await showWork(queues);
  } catch (problem) {
    if (!signal.aborted) notice(problem.title ?? "The page could not be loaded.", `${problem.message} Retrying automatically.`);
  }
}

async function showWork(queues) {
  const [small, big] = ["interactive", "bulk"].map((name) => queues.find((queue) => queue.name === name));
  const minutes = small.per_minute.map((count, place) => count + big.per_minute[place]);
  showPairs("work", [
    ["Images/s now", rate(small.rate + big.rate)],
    ["Images in the last hour", number(minutes.reduce((sum, count) => sum + count, 0))],
    ["Waiting", plural(small.depth + big.depth, "image")],
  ]);
  if (JSON.stringify([small.per_minute, big.per_minute]) === drawn) return;
  drawn = JSON.stringify([small.per_minute, big.per_minute]);
  const ago = (place) => place + 1 - minutes.length;
  const rows = minutes.map((count, place) => row(minuteName(-ago(place)), ...[small.per_minute[place], big.per_minute[place], count].map(number)));
  byId("minutes").replaceChildren(...rows.toReversed());
  await chart.show([{ name: "Images", line: "first", marks: false, x: minutes.map((_, place) => ago(place)), y: minutes }]);
}

const minuteName = (ago) => (ago === 0 ? "This minute so far" : `${plural(ago, "minute")} ago`);

function showQueues(queues) {
  showRows("queues", queues.map(({ name, jobs, depth, oldest_age_s: age, workers }) =>
    row(QUEUES[name] ?? name, number(jobs), name === "train" ? "–" : plural(depth, "image"), age === null ? "–" : duration(age), number(workers))));
  const unserved = queues.filter(({ workers }) => !workers).map(({ name }) => QUEUES[name].toLowerCase());
  show("unserved", unserved.length > 0);
  if (unserved.length) setText("unserved-what", `No worker is running for ${unserved.join(", ")}.`);
}

function showWorkers(workers, code) {
  for (const id of ["workers-table", "machines-table"]) show(id, workers.length > 0);
  show("no-workers", workers.length === 0);
  const inOrder = workers.toSorted((one, other) => one.name.localeCompare(other.name, "en", { numeric: true }));
  showRows("workers", inOrder.map(({ name, queues, model }) =>
    row(name, queues.map((queue) => QUEUES[queue] ?? queue).join(", "), modelOf(queues, model))));
  showMachines(inOrder);
  const missing = inOrder.flatMap(({ name, lacks }) => lacks.map(({ what, since, reason }) => `${name} lacks ${what} since ${moment(since)}: ${reason}`));
  showRows("lacks", [...missing, ...otherCode(inOrder, code)].map((line) => element("li", {}, line)));
}

/** Show each machine with what its processes do together. */
function showMachines(workers) {
  const machines = new Set(workers.map(({ name }) => machineOf(name)));
  showRows("machines", [...machines].map((machine) => {
    const processes = workers.filter(({ name }) => machineOf(name) === machine);
    const together = processes.reduce((sum, process) => sum + process.rate, 0);
    const seen = Math.min(...processes.map((process) => process.silent_s));
    const codes = [...new Set(processes.map(({ code }) => code ?? "older"))];
    return row(machine, number(processes.length), rate(together), `${seen} s ago`, codes.join(", "));
  }));
}

const machineOf = (name) => name.split(":")[0];

/** Describe each machine whose workers run other code than the web server. */
function otherCode(workers, ours) {
  const others = workers.filter(({ code }) => code !== ours);
  const lines = others.map(({ name, code }) =>
    `${machineOf(name)} runs ${code ? `Darkroom ${code}` : "an older Darkroom"}, and the web server ${ours}. Update the older one.`);
  return [...new Set(lines)];
}

/** Show rows. Unchanged rows stay, so a link in one keeps the focus. */
function showRows(id, rows) {
  const before = [...byId(id).children];
  arrange(byId(id), rows.map((made) => before.find((old) => old.isEqualNode(made)) ?? made));
}

/** Return the loaded model as a link. A worker for trainings only loads none. */
function modelOf(queues, model) {
  if (model !== null) return modelLink(model);
  return queues.every((queue) => queue === "train") ? "–" : "none yet";
}

function showRoom({ disk, blobs, redis }) {
  const { total_bytes: total, free_bytes: free, used_bytes: used, reserve_bytes: reserve } = disk;
  fill("disk", total - free, total, free < reserve);
  showPairs("disk-figures", [["Free", bytes(free)], ["Used by Darkroom", bytes(used)], ["Total", bytes(total)]]);
  const where = blobs === "remote" ? "Pictures are stored elsewhere; models and logs use this disk. " : "";
  const refused = free < reserve ? "The disk is full. Uploads are rejected until" : "Uploads are rejected unless";
  setText("disk-hint", `${where}${refused} ${bytes(reserve)} are free.`);
  const { used_bytes: taken, max_bytes: limit, full_bytes: full, warnings } = redis;
  show("redis-warnings", warnings.length > 0);
  showRows("redis-warnings-what", warnings.map((warning) => element("li", {}, warning)));
  show("redis", limit !== null);
  if (limit) fill("redis", taken, limit, taken > full);
  showPairs("redis-figures", [["Used", bytes(taken)], ["Limit", limit ? bytes(limit) : "none"]]);
  setText("redis-hint", limit ? roomInRedis(taken, full) : "Redis has no memory limit, so it can use all of the machine's memory.");
}

const roomInRedis = (taken, full) =>
  taken > full ? `Redis is nearly full. Uploads are rejected above ${bytes(full)}.` : `Uploads are rejected above ${bytes(full)}; results still fit.`;

function fill(id, value, max, full) {
  Object.assign(byId(id), { max, value });
  byId(id).dataset.state = full ? "failed" : "succeeded";
  byId(id).setAttribute("aria-valuetext", `${inPercent(Math.round((100 * value) / max))} used`);
}

const showPairs = (id, pairs) => byId(id).replaceChildren(...pairs.map(([name, value]) => pair(name, value)));
const row = (head, ...cells) => element("tr", {}, element("th", { scope: "row" }, head), ...cells.map((cell) => element("td", {}, cell)));

/** Describe the system for screen readers, without figures that change all the time. */
function describe(queues, workers) {
  const waiting = queues.filter(({ jobs }) => jobs).map(({ name }) => QUEUES[name].toLowerCase());
  return `${plural(workers.length, "worker")}. ${waiting.length ? `Waiting: ${waiting.join(", ")}.` : "Nothing is waiting."}`;
}

document.addEventListener("visibilitychange", follow);
follow();
