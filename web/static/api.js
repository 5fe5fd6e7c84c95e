// A client of the HTTP API, with the calls that the pages need.

/** An error answer. `status` is 0 if there was no answer. */
export class Problem extends Error {
  /**
   * @param {number} status @param {string} title @param {string} detail @param {number} retryAfter seconds
   * @param {{pointer: string, detail: string}[]} errors each error in the request
   */
  constructor(status, title, detail, retryAfter = 0, errors = []) {
    super(detail || title);
    Object.assign(this, { status, title, detail, retryAfter, errors });
  }

  /** Whether the same request may succeed later. */
  get retryable() {
    return [0, 429, 502, 503, 504].includes(this.status);
  }
}

/** Return the Problem for a failed connection. */
export const connectionProblem = () =>
  new Problem(0, "The service does not respond.", "Check that it is running and that you are online.");

/**
 * Return the Problem for an error answer.
 * @param {number} status @param {string} text the body @param {string | null} retryAfter the Retry-After header
 */
export function parseProblem(status, text, retryAfter = null) {
  try {
    const { title, detail, errors } = JSON.parse(text);
    if (typeof title === "string") return new Problem(status, sentence(title), sentence(detail ?? ""), Number(retryAfter) || 0, errors ?? []);
  } catch {
    // not a problem document; perhaps it comes from a proxy
  }
  return new Problem(status, `The service answered with an error (${status}).`, "", Number(retryAfter) || 0);
}

/** Return the text with a capital letter and a full stop. @param {string} text */
export function sentence(text) {
  const trimmed = String(text).trim();
  if (!trimmed) return "";
  const whole = trimmed[0].toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

/** Return the CSRF header of a signed-in page, or no header. */
export function sessionHeaders() {
  const token = document.querySelector('meta[name="csrf-token"]');
  return token ? { "X-CSRF-Token": token.content } : {};
}

/** If the session has ended, go to the sign-in page, which leads back here. @param {number} status of an answer */
export function redirectToSignIn(status) {
  if (status === 401) location.assign(`/sign-in?${asQuery({ next: location.pathname + location.search })}`);
}

/**
 * Send a request. Throw Problem for a status of 400 or more and for a failed connection; AbortError if aborted.
 * @param {string} path @param {RequestInit} options
 */
export async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", ...options, headers: { Accept: "application/json", ...sessionHeaders(), ...options.headers } });
  } catch (error) {
    throw error.name === "AbortError" ? error : connectionProblem();
  }
  redirectToSignIn(response.status);
  if (response.status >= 400) throw parseProblem(response.status, await response.text(), response.headers.get("Retry-After"));
  return response;
}

/** Send a request and parse the JSON answer. @param {string} path @param {RequestInit} options */
export const requestJson = async (path, options = {}) => (await request(path, options)).json();

const job = (id) => `/v1/jobs/${id}`;
const post = (path) => requestJson(path, { method: "POST" });
const inJson = (method, body, headers = {}) => ({
  method,
  headers: { "Content-Type": "application/json", ...headers },
  body: JSON.stringify(body),
});

/** Return a random id of 128 bits. crypto.randomUUID is missing on plain HTTP. */
export const newId = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(16).padStart(8, "0")).join("");

/**
 * Return a new open Job.
 * @param {object} metadata @param {string} classifier that answers; "" for the default @param {string} id idempotency key
 */
export const openJob = (metadata, classifier, id) =>
  requestJson("/v1/jobs", inJson("POST", { kind: "classification", metadata, ...(classifier && { classifier }) }, { "Idempotency-Key": id }));

/** @param {string} id @returns {Promise<object>} the Job */
export const readJob = (id) => requestJson(job(id));

/** Return the keys of all items that have arrived. @param {string} id @returns {Promise<Set<string>>} */
export async function readArrivedKeys(id) {
  const keys = new Set();
  for (let after = ""; after !== null; ) {
    const page = await requestJson(`${job(id)}/items?${asQuery({ fields: "key", limit: 1000, after })}`);
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
export const deleteJob = (id) => request(job(id), { method: "DELETE" });

/** Queue a training. @param {object} params @param {string} id idempotency key */
export const startTraining = (params, id) =>
  requestJson("/v1/jobs", inJson("POST", { kind: "training", params }, { "Idempotency-Key": id }));
/** End a training early, keeping the best model so far. @param {string} id */
export const finishJob = (id) => post(`${job(id)}/finish`);
/** Return the metrics of a training after row number `after`. @param {string} id @param {number} after @param {AbortSignal} signal */
export const readRows = (id, after, signal) => requestJson(`${job(id)}/metrics?after=${after}`, { signal });
/** Count the corrected pictures available for training. @returns {Promise<{total: number, needed: number}>} */
export const readCorrections = () => requestJson("/v1/corrections");
/** Return the presets, with all their parameters. */
export const readPresets = () => requestJson("/v1/presets");

/** Return the queues and their workers. @param {AbortSignal} signal */
export const readQueues = (signal) => requestJson("/v1/queues", { signal });
/** Return the free disk space and Redis memory. @param {AbortSignal} signal */
export const readSystem = (signal) => requestJson("/v1/system", { signal });

/** Whether a training worker has been seen lately; null if that is unknown. @param {AbortSignal} signal */
export async function hasTrainWorker(signal) {
  try {
    const { checks } = await (await fetch("/readyz", { cache: "no-store", signal })).json();
    return checks.workers.ok || !/\btrain\b/.test(checks.workers.detail);
  } catch {
    return null;
  }
}

const model = (version) => `/v1/models/${encodeURIComponent(version)}`;

/** Return all versions, newest first. @returns {Promise<object[]>} */
export const readModels = async () => (await requestJson("/v1/models")).data;
/** Return the versions of a classifier, newest first. @param {string} classifier @returns {Promise<object[]>} */
export const readModelsOf = async (classifier) => (await requestJson(`/v1/models?${asQuery({ classifier })}`)).data;
/** Return a page of a version's answers to the test pictures of its dataset. @param {string} version @param {Record<string, any>} parameters */
export const readAnswers = (version, parameters) => requestJson(`${model(version)}/answers?${asQuery(parameters)}`);
/** Return how many test pictures get an answer, by the score that it needs. @param {string} version */
export const readThresholds = (version) => requestJson(`${model(version)}/thresholds`);
/** @param {string} version */
export const readModel = (version) => requestJson(model(version));
/** @param {string} first @param {string} second */
export const compareModels = (first, second) => requestJson(`/v1/models/compare?${asQuery({ versions: `${first},${second}` })}`);

/** Return the champion, and the ETag that a change of it must send. @returns {Promise<{champion: object, etag: string}>} */
export const readChampion = async () => withTag(await request("/v1/models/aliases"));

/** Return a classifier's champion and its ETag; null if the classifier is gone. @param {string} name @returns {Promise<{champion: object, etag: string} | null>} */
export async function readChampionOf(name) {
  try {
    return withTag(await request(`/v1/classifiers/${encodeURIComponent(name)}`));
  } catch (problem) {
    if (problem.status === 404) return null;
    throw problem;
  }
}
/** Make a version the champion of its classifier, unless it was changed since `etag`. @param {string} name @param {string} version @param {string} etag */
export const promoteModel = async (name, version, etag) =>
  withTag(await request(`/v1/classifiers/${encodeURIComponent(name)}/champion`, inJson("PUT", { version }, { "If-Match": etag })));

const withTag = async (response) => ({ ...(await response.json()), etag: response.headers.get("ETag") });

/**
 * Return a page of results.
 * @param {string} id
 * @param {Record<string, string | number | null | undefined>} parameters empty ones are left out
 * @param {AbortSignal} signal
 */
export const readResults = (id, parameters, signal) => requestJson(`${job(id)}/results?${asQuery(parameters)}`, { signal });

/** Count the pictures of each label, and the unknown ones. @param {string} id @returns {Promise<{data: {index: number, label: string, count: number, corrected: number}[], unknown: number}>} */
export const readLabels = (id) => requestJson(`${job(id)}/labels`);
/** Return the first skipped files of a job's archives. @param {string} id @param {number} limit @returns {Promise<{data: {archive: string, filename: string}[]}>} */
export const readSkipped = (id, limit) => requestJson(`${job(id)}/skipped?limit=${limit}`);
/** Correct items, all or none. @param {string} id @param {Record<string, string | null>} labels item key → label; null removes a correction */
export const correctItems = async (id, labels) => (await requestJson(`${job(id)}/labels`, inJson("POST", { labels }))).data;

/** Return a page of jobs, newest first. @param {Record<string, any>} parameters @param {AbortSignal} signal */
export const readJobs = (parameters, signal) => requestJson(`/v1/jobs?${asQuery(parameters)}`, { signal });

/** Return the address of a picture, or of its thumbnail. @param {string} id @param {string} key @param {boolean} thumb */
export const imageAddress = (id, key, thumb = false) =>
  `${job(id)}/items/${encodeURIComponent(key)}/image${thumb ? "?size=thumb" : ""}`;

/** Return the address of the heatmap of a picture for a class. @param {string} id @param {string} key @param {string} label */
export const heatmapAddress = (id, key, label) => `${job(id)}/items/${encodeURIComponent(key)}/heatmap?${asQuery({ label })}`;

/** Encode query parameters, leaving out empty ones. @param {Record<string, any>} parameters */
export function asQuery(parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
}
