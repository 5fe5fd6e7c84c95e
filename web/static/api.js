// The HTTP API, as far as the pages use it.

/** An answer that says no. `status` is 0 where there was no answer at all. */
export class Problem extends Error {
  /**
   * @param {number} status @param {string} title @param {string} detail @param {number} retryAfter seconds
   * @param {{pointer: string, detail: string}[]} faults what is wrong in the request, one by one
   */
  constructor(status, title, detail, retryAfter = 0, faults = []) {
    super(detail || title);
    Object.assign(this, { status, title, detail, retryAfter, faults });
  }

  /** Whether the same may well work a little later. */
  get passing() {
    return [0, 429, 502, 503, 504].includes(this.status);
  }
}

/** The Problem for a connection that failed. */
export const noAnswer = () =>
  new Problem(0, "The service does not answer.", "Check that it runs and that you are connected.");

/**
 * The Problem of an answer's status and body.
 * @param {number} status @param {string} text the body @param {string | null} retryAfter the header
 */
export function problemOf(status, text, retryAfter = null) {
  try {
    const { title, detail, errors } = JSON.parse(text);
    if (typeof title === "string") return new Problem(status, sentence(title), sentence(detail ?? ""), Number(retryAfter) || 0, errors ?? []);
  } catch {
    // no problem document: a proxy in between, perhaps
  }
  return new Problem(status, `The service answered with an error (${status}).`, "", Number(retryAfter) || 0);
}

/** Text with a capital and a full stop. @param {string} text */
export function sentence(text) {
  const trimmed = String(text).trim();
  if (!trimmed) return "";
  const whole = trimmed[0].toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

/** What shows that a change comes from a page of the session; nothing where nobody signed in. */
export function sessionHeaders() {
  const token = document.querySelector('meta[name="csrf-token"]');
  return token ? { "X-CSRF-Token": token.content } : {};
}

/** Where the session is over, sign in again and come back. @param {number} status of an answer */
export function signInAgain(status) {
  if (status === 401) location.assign(`/sign-in?${asQuery({ next: location.pathname + location.search })}`);
}

/**
 * Ask the API. Throws Problem for every answer of 400 and over, and where there is none; AbortError where aborted.
 * @param {string} path @param {RequestInit} options
 */
export async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", ...options, headers: { Accept: "application/json", ...sessionHeaders(), ...options.headers } });
  } catch (error) {
    throw error.name === "AbortError" ? error : noAnswer();
  }
  signInAgain(response.status);
  if (response.status >= 400) throw problemOf(response.status, await response.text(), response.headers.get("Retry-After"));
  return response;
}

/** Ask for JSON. @param {string} path @param {RequestInit} options */
export const askJson = async (path, options = {}) => (await ask(path, options)).json();

const job = (id) => `/v1/jobs/${id}`;
const post = (path) => askJson(path, { method: "POST" });
const inJson = (method, body, headers = {}) => ({
  method,
  headers: { "Content-Type": "application/json", ...headers },
  body: JSON.stringify(body),
});

/** Unguessable enough to tell requests apart, also where the page came over plain HTTP. */
export const newId = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(16).padStart(8, "0")).join("");

/** @param {object} metadata @param {string} id names the request @returns {Promise<object>} a new open Job */
export const openJob = (metadata, id) =>
  askJson("/v1/jobs", inJson("POST", { kind: "classification", metadata }, { "Idempotency-Key": id }));

/** @param {string} id @returns {Promise<object>} the Job */
export const readJob = (id) => askJson(job(id));

/** The keys of all items that have arrived. @param {string} id @returns {Promise<Set<string>>} */
export async function readKeys(id) {
  const keys = new Set();
  for (let after = ""; after !== null; ) {
    const page = await askJson(`${job(id)}/items?${asQuery({ fields: "key", limit: 1000, after })}`);
    page.data.forEach(({ key }) => keys.add(key));
    after = page.next;
  }
  return keys;
}

/** @param {string} id */
export const sealJob = (id) => post(`${job(id)}/seal`);
/** @param {string} id */
export const cancelJob = (id) => post(`${job(id)}/cancel`);
/** @param {string} id */
export const retryJob = (id) => post(`${job(id)}/retry`);
/** @param {string} id */
export const deleteJob = (id) => ask(job(id), { method: "DELETE" });

/** Queue a training. @param {object} params @param {string} id names the request, so that a repeat is known */
export const startTraining = (params, id) =>
  askJson("/v1/jobs", inJson("POST", { kind: "training", params }, { "Idempotency-Key": id }));
/** End a training early and keep the best model so far. @param {string} id */
export const finishJob = (id) => post(`${job(id)}/finish`);
/** The rows of a training after row number `after`. @param {string} id @param {number} after @param {AbortSignal} signal */
export const readRows = (id, after, signal) => askJson(`${job(id)}/metrics?after=${after}`, { signal });
/** How many corrected pictures there are to train on. @returns {Promise<{total: number, needed: number}>} */
export const readCorrections = () => askJson("/v1/corrections");
/** What can be trained, with all settings. */
export const readPresets = () => askJson("/v1/presets");

/** What waits, who works on it, and how fast. @param {AbortSignal} signal */
export const readQueues = (signal) => askJson("/v1/queues", { signal });
/** What room is left. @param {AbortSignal} signal */
export const readSystem = (signal) => askJson("/v1/system", { signal });

/** Whether a worker for trainings was seen lately; null where that cannot be told. @param {AbortSignal} signal */
export async function hasTrainWorker(signal) {
  try {
    const { checks } = await (await fetch("/readyz", { cache: "no-store", signal })).json();
    return checks.workers.ok || !/\btrain\b/.test(checks.workers.detail);
  } catch {
    return null;
  }
}

const model = (version) => `/v1/models/${encodeURIComponent(version)}`;

/** All versions, newest first. @returns {Promise<object[]>} */
export const readModels = async () => (await askJson("/v1/models")).data;
/** @param {string} version */
export const readModel = (version) => askJson(model(version));
/** @param {string} first @param {string} second */
export const compareModels = (first, second) => askJson(`/v1/models/compare?${asQuery({ versions: `${first},${second}` })}`);

/** The champion, and the ETag that a change of it must name. @returns {Promise<{champion: object, etag: string}>} */
export const readChampion = async () => withTag(await ask("/v1/models/aliases"));
/** Let a version serve new jobs, unless somebody has changed that since. @param {string} version @param {string} etag */
export const promoteModel = async (version, etag) =>
  withTag(await ask("/v1/models/aliases/champion", inJson("PUT", { version }, { "If-Match": etag })));

const withTag = async (response) => ({ ...(await response.json()), etag: response.headers.get("ETag") });

/**
 * A page of results.
 * @param {string} id
 * @param {Record<string, string | number | null | undefined>} parameters what is empty is left out
 * @param {AbortSignal} signal
 */
export const readResults = (id, parameters, signal) => askJson(`${job(id)}/results?${asQuery(parameters)}`, { signal });

/** How often each label occurs. @param {string} id @returns {Promise<{index: number, label: string, count: number, corrected: number}[]>} */
export const readLabels = async (id) => (await askJson(`${job(id)}/labels`)).data;
/** Correct items, all or none. @param {string} id @param {Record<string, string | null>} labels item key → label, null: as predicted */
export const correctItems = async (id, labels) => (await askJson(`${job(id)}/labels`, inJson("POST", { labels }))).data;

/** A page of jobs, newest first. @param {Record<string, any>} parameters @param {AbortSignal} signal */
export const readJobs = (parameters, signal) => askJson(`/v1/jobs?${asQuery(parameters)}`, { signal });

/** Where a picture is, or its small copy. @param {string} id @param {string} key @param {boolean} thumb */
export const imageAddress = (id, key, thumb = false) =>
  `${job(id)}/items/${encodeURIComponent(key)}/image${thumb ? "?size=thumb" : ""}`;

/** Query parameters without the empty ones. @param {Record<string, any>} parameters */
export function asQuery(parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
}
