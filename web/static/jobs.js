// The page that lists the jobs.

import { readJobs } from "./api.js";
import { announce, arrange, byId, element, icon, notice, setText, show } from "./dom.js";
import { ago, moment, number, outcomeOf, plural, titleOf, trained } from "./format.js";
import { Pagination } from "./pagination.js";
import { sleep } from "./watch.js";

const PAGE = 25;
//: Milliseconds between two polls, while a job on the page is running and otherwise.
const BUSY_MS = 2000;
const QUIET_MS = 15000;

const pagination = new Pagination(turn);
let nextCursor = null;
let loop = null;

/** Show the current page and keep it up to date. */
async function follow() {
  loop?.abort();
  const { signal } = (loop = new AbortController());
  while (!signal.aborted) {
    const busy = await refresh(signal);
    await sleep(busy && !document.hidden ? BUSY_MS : QUIET_MS, signal);
  }
}

/** Load and show the page once. Return whether a job on it is still running. */
async function refresh(signal) {
  try {
    const page = await readJobs({ limit: PAGE, after: pagination.start }, signal);
    nextCursor = page.next;
    notice(null);
    showPage(page.data);
    return page.data.some((job) => !job.done);
  } catch (problem) {
    if (!signal.aborted) notice(problem.title, `${problem.detail} Retrying automatically.`);
    return true;
  }
}

function turn() {
  nextCursor = null; // unknown until the page is loaded
  follow();
  scrollTo(0, 0);
}

function showPage(jobs) {
  const first = pagination.index * PAGE;
  show("table", jobs.length > 0);
  show("empty", jobs.length === 0 && first === 0);
  show("pager", first > 0 || nextCursor !== null);
  setText("place", jobs.length ? `${number(first + 1)}–${number(first + jobs.length)}` : "No jobs");
  byId("previous").disabled = first === 0;
  byId("next").disabled = nextCursor === null;
  update(jobs);
  const busy = jobs.filter((job) => !job.done).length;
  announce(busy ? `${plural(jobs.length, "job")}, ${number(busy)} unfinished.` : `${plural(jobs.length, "job")}, all done.`);
}

/** Change only the rows that differ, to keep the focus and selected text. */
function update(jobs) {
  const rows = new Map(Array.from(byId("rows").children, (row) => [row.dataset.job, row]));
  arrange(byId("rows"), jobs.map((job) => rowOf(job, rows.get(job.id))));
}

function rowOf(job, old) {
  const shown = JSON.stringify([job.state, job.counts, job.progress, ago(job.created_at)]);
  if (old?.dataset.shown === shown) return old;
  const row = old ?? element("tr", { "data-job": job.id });
  row.dataset.shown = shown;
  if (!old) row.append(element("th", { scope: "row" }), ...Array.from({ length: 4 }, () => element("td")));
  fillRow(row, job);
  return row;
}

function fillRow(row, job) {
  const [name, state, progress, when, model] = row.children;
  if (!name.firstChild) name.append(element("a", { href: `/result/${job.id}` }), element("span", { class: "job-id" }, job.id.slice(0, 8)));
  name.firstChild.textContent = titleOf(job);
  const { name: shown, icon: mark, text } = outcomeOf(job);
  state.replaceChildren(element("span", { class: "state", "data-state": shown }, icon(mark), text));
  progress.replaceChildren(...progressOf(job));
  when.replaceChildren(element("time", { datetime: job.created_at, title: moment(job.created_at) }, ago(job.created_at)));
  model.textContent = job.model ?? "–";
}

function progressOf(job) {
  const text = element("span", {}, job.kind === "training" ? trained(job) : finished(job));
  const what = job.kind === "training" ? "Steps done" : "Pictures finished";
  return job.done ? [text] : [text, element("progress", { max: 1, value: job.progress, "aria-label": what })];
}

function finished(job) {
  const { total, succeeded, failed, cancelled } = job.counts;
  const words = [`${succeeded === total ? number(total) : `${number(succeeded)} of ${number(total)}`} ${job.kind === "import" ? "imported" : "classified"}`];
  if (failed) words.push(`${number(failed)} failed`);
  if (cancelled) words.push(`${number(cancelled)} cancelled`);
  return words.join(", ");
}

byId("previous").addEventListener("click", () => pagination.back());
byId("next").addEventListener("click", () => nextCursor && pagination.forward(nextCursor));
document.addEventListener("visibilitychange", () => !document.hidden && follow());
follow();
