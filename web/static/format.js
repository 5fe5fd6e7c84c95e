// Formats numbers, times and states.

const UNITS = ["bytes", "KB", "MB", "GB", "TB"];
const wholeNumber = new Intl.NumberFormat("en");
const when = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

const STATES = {
  open: { icon: "upload", text: "Receiving" },
  queued: { icon: "clock", text: "Waiting" },
  running: { icon: "work", text: "Running" },
  cancelling: { icon: "work", text: "Cancelling" },
  succeeded: { icon: "done", text: "Done" },
  failed: { icon: "alert", text: "Failed" },
  cancelled: { icon: "stop", text: "Cancelled" },
};

/** Format a whole number: 12345 → "12,345". @param {number} value */
export const number = (value) => wholeNumber.format(value);

/** Format a count with its noun: "1 picture", "2 pictures". @param {number} count @param {string} noun */
export const plural = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;

/** Return the icon and text of a job's state. @param {string} state */
export const stateOf = (state) => STATES[state] ?? { icon: "clock", text: state };

/** Return the name, icon and text of what a page shows as a job's state: a job of which every picture failed looks failed. @param {object} job */
export function outcomeOf({ state, counts: { succeeded, failed } = {} }) {
  if (state === "succeeded" && failed > 0 && !succeeded) return { name: "failed", icon: "alert", text: "All failed" };
  return { name: state, ...stateOf(state) };
}

/** Write a figure with the sign %, which no line break parts from it. @param {string | number} figure */
export const inPercent = (figure) => `${figure}\u00a0%`;

/** Format a share that has been reached as a whole percentage; 100 % is all of it. @param {number} share */
export const wholePercent = (share) => inPercent(Math.floor(share * 100));

/** Format a probability in [0, 1] as a percentage that never rounds to 0 or 100. @param {number} share */
export function percent(share) {
  if (share < 0.001) return inPercent("<0.1");
  if (share < 1 && share > 0.999) return inPercent(">99.9");
  return inPercent((share * 100).toFixed(1));
}

/** Format a share as a percentage with two decimals, or "–" if it is missing. */
export const precisePercent = (share) => (typeof share === "number" ? inPercent((share * 100).toFixed(2)) : "–");

/** Format a difference of two shares in percentage points, with its sign. @param {number} difference */
export const signedPoints = (difference) => {
  const rounded = (Math.abs(difference) * 100).toFixed(2);
  return `${Number(rounded) ? (difference < 0 ? "−" : "+") : ""}${rounded}`;
};

/** Format a count to three digits: 167562 → "168 k". @param {number} count */
export function compact(count) {
  if (count < 10000) return number(count);
  const [value, unit] = count < 1e6 ? [count / 1e3, "k"] : [count / 1e6, "M"];
  return `${Number(value.toPrecision(3))} ${unit}`;
}

/** Format a number to at most `digits` significant digits. @param {number} value @param {number} digits */
export const significant = (value, digits = 4) => (Number.isFinite(value) ? String(Number(value.toPrecision(digits))) : "–");

/** Format a size; 1 KB is 1,024 bytes, as in the service. @param {number} count */
export function bytes(count) {
  const power = count < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(count) / 10));
  const value = count / 1024 ** power;
  return `${power && value < 100 ? value.toFixed(1) : number(Math.round(value))} ${UNITS[power]}`;
}

/** Format a rate per second. @param {number} perSecond */
export const rate = (perSecond) => (perSecond < 10 ? perSecond.toFixed(1) : number(Math.round(perSecond)));

/** Format a duration in its two largest units. @param {number} seconds */
export function duration(seconds) {
  if (seconds < 0.1) return "<0.1 s";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** Format a date and time. @param {string | number} timestamp RFC 3339, or milliseconds since the epoch */
export const moment = (timestamp) => when.format(new Date(timestamp));

/** Format the time since a moment: "5 hours ago". @param {string} timestamp RFC 3339 @param {number} now milliseconds since the epoch */
export function ago(timestamp, now = Date.now()) {
  const seconds = Math.min(0, (Date.parse(timestamp) - now) / 1000);
  if (seconds > -45) return "just now";
  if (seconds > -3600) return relative.format(Math.round(seconds / 60), "minute");
  if (seconds > -86400) return relative.format(Math.round(seconds / 3600), "hour");
  return relative.format(Math.round(seconds / 86400), "day");
}

/** Whether a job trains a Head on a Dataset: it has no epochs. @param {object} job */
export const isHead = ({ params }) => params?.preset === "head";

/** Presets that learn from a Dataset only. */
export const OWN_PRESETS = ["head", "finetune"];

const hasOwnData = ({ params }) => OWN_PRESETS.includes(params?.preset);

/** Return a job's title, or a description if it has none. @param {object} job */
export function titleOf(job) {
  const title = job.metadata?.title;
  if (typeof title === "string" && title.trim()) return title.trim().slice(0, 120);
  if (job.kind === "import") return `Import into ${job.params.dataset}`;
  if (job.kind === "training") return job.params?.preset ? `Training of ${hasOwnData(job) ? job.params.dataset : job.params.preset}` : "Training";
  return job.counts.total ? plural(job.counts.total, "picture") : "No pictures yet";
}

/** Return how far a training is, in words. @param {object} job */
export function trained(job) {
  if (job.state === "running" && job.progress >= 1) return "measuring";
  if (isHead(job)) return job.done ? "–" : wholePercent(job.progress);
  const epochs = plural(job.params.epochs, "epoch");
  return job.done ? epochs : `${wholePercent(job.progress)} of ${epochs}`;
}
