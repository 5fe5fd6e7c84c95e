// One multipart request, by XMLHttpRequest: fetch does not tell how much is sent.

import { noAnswer, problemOf, sessionHeaders, signInAgain } from "./api.js";

/**
 * Post a form and return the parsed answer. Throws Problem; AbortError where `signal` stopped it.
 * @param {string} path @param {FormData} form
 * @param {string | null} id names the request, so that a repeat is known; null where a repeat does no harm anyway
 * @param {(share: number) => void} onShare how much of the body is sent, in [0, 1]
 * @param {AbortSignal} signal
 */
export function postParts(path, form, id, onShare, signal) {
  const request = new XMLHttpRequest();
  const stop = () => request.abort();
  return new Promise((resolve, reject) => {
    request.open("POST", path);
    request.setRequestHeader("Accept", "application/json");
    if (id) request.setRequestHeader("Idempotency-Key", id);
    for (const [name, value] of Object.entries(sessionHeaders())) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total }) => onShare(total ? loaded / total : 0);
    request.onload = () => settle(request, resolve, reject);
    request.onerror = () => reject(noAnswer());
    request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    request.onloadend = () => signal.removeEventListener("abort", stop);
    signal.addEventListener("abort", stop);
    request.send(form);
  });
}

function settle(request, resolve, reject) {
  signInAgain(request.status);
  if (request.status >= 400) {
    reject(problemOf(request.status, request.responseText, request.getResponseHeader("Retry-After")));
    return;
  }
  try {
    resolve(JSON.parse(request.responseText));
  } catch {
    reject(problemOf(request.status, ""));
  }
}
