// Sends a multipart form by XMLHttpRequest, since fetch does not report upload progress.

import { connectionProblem, parseProblem, sessionHeaders, redirectToSignIn } from "./api.js";

/**
 * Post a form and return the parsed answer. Throw Problem on an error, AbortError if `signal` aborts it.
 * @param {string} path @param {FormData} form
 * @param {string | null} id idempotency key; null if a repeat is harmless
 * @param {(share: number) => void} onShare reports the share of the body that is sent, in [0, 1]
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
    request.onerror = () => reject(connectionProblem());
    request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    request.onloadend = () => signal.removeEventListener("abort", stop);
    signal.addEventListener("abort", stop);
    request.send(form);
  });
}

function settle(request, resolve, reject) {
  redirectToSignIn(request.status);
  if (request.status >= 400) {
    reject(parseProblem(request.status, request.responseText, request.getResponseHeader("Retry-After")));
    return;
  }
  try {
    resolve(JSON.parse(request.responseText));
  } catch {
    reject(parseProblem(request.status, ""));
  }
}
