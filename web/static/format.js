// Numbers, times and states in words.

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

/** A whole number with separators: 12345 → "12,345". @param {number} value */
export const number = (value) => wholeNumber.format(value);

/** "1 picture", "2 pictures". @param {number} count @param {string} noun */
export const plural = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;

/** A job's state: its icon and its words. @param {string} state */
export const stateOf = (state) => STATES[state] ?? { icon: "clock", text: state };

/** A probability in [0, 1] as a percentage that says neither 0 nor 100 where it is not quite. @param {number} share */
export function percent(share) {
  if (share < 0.001) return "<0.1 %";
  if (share < 1 && share > 0.999) return ">99.9 %";
  return `${(share * 100).toFixed(1)} %`;
}

/** A share of test images, such as an accuracy, to a hundredth of a percent; "–" where it is not there. */
export const points = (share) => (typeof share === "number" ? `${(share * 100).toFixed(2)} %` : "–");

/** A difference of two shares in percentage points, with its sign. @param {number} difference */
export const signed = (difference) => {
  const rounded = (Math.abs(difference) * 100).toFixed(2);
  return `${Number(rounded) ? (difference < 0 ? "−" : "+") : ""}${rounded}`;
};

/** A count to three digits: 167562 → "168 k". @param {number} count */
export function about(count) {
  if (count < 10000) return number(count);
  const [value, unit] = count < 1e6 ? [count / 1e3, "k"] : [count / 1e6, "M"];
  return `${Number(value.toPrecision(3))} ${unit}`;
}

/** A figure as short as it can be written exactly to so many digits. @param {number} value @param {number} digits */
export const short = (value, digits = 4) => (Number.isFinite(value) ? String(Number(value.toPrecision(digits))) : "–");

/** Bytes for people; 1 KB is 1,024 bytes, as on the server's side. @param {number} count */
export function bytes(count) {
  const power = count < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(count) / 10));
  const value = count / 1024 ** power;
  return `${power && value < 100 ? value.toFixed(1) : number(Math.round(value))} ${UNITS[power]}`;
}

/** Things per second, with as many digits as mean something. @param {number} perSecond */
export const rate = (perSecond) => (perSecond < 10 ? perSecond.toFixed(1) : number(Math.round(perSecond)));

/** A duration in its two largest units. @param {number} seconds */
export function duration(seconds) {
  if (seconds < 0.1) return "<0.1 s";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** A moment as it is written here. @param {string | number} timestamp RFC 3339, or milliseconds since the epoch */
export const moment = (timestamp) => when.format(new Date(timestamp));

/** How long ago a moment was. @param {string} timestamp RFC 3339 @param {number} now milliseconds since the epoch */
export function ago(timestamp, now = Date.now()) {
  const seconds = Math.min(0, (Date.parse(timestamp) - now) / 1000);
  if (seconds > -45) return "just now";
  if (seconds > -3600) return relative.format(Math.round(seconds / 60), "minute");
  if (seconds > -86400) return relative.format(Math.round(seconds / 3600), "hour");
  return relative.format(Math.round(seconds / 86400), "day");
}

/** What a job is called: its own title where it has one, else its pictures. @param {object} job */
export function titleOf(job) {
  const title = job.metadata?.title;
  if (typeof title === "string" && title.trim()) return title.trim().slice(0, 120);
  if (job.kind !== "classification") return job.params?.preset ? `Training of ${job.params.preset}` : "Training";
  return job.counts.total ? plural(job.counts.total, "picture") : "No pictures yet";
}
