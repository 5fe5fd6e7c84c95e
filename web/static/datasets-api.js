// The calls of the HTTP API about Datasets and Classifiers.

import { asQuery, request, requestJson } from "./api.js";

const dataset = (name) => `/v1/datasets/${encodeURIComponent(name)}`;
const label = (name, text) => `${dataset(name)}/labels/${encodeURIComponent(text)}`;
const asJson = (method, body, headers = {}) => ({ method, headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify(body) });
const dataOf = async (path) => (await requestJson(path)).data;

/** @returns {Promise<object[]>} the first 1,000 datasets by name */
export const readDatasets = () => dataOf("/v1/datasets?limit=1000");
/** @param {string} name @param {AbortSignal} [signal] */
export const readDataset = (name, signal) => requestJson(dataset(name), { signal });
/** Return what is wrong or thin. @param {string} name */
export const readReport = (name) => requestJson(`${dataset(name)}/report`);
/** @param {string} name @param {string[]} labels */
export const createDataset = (name, labels) => requestJson("/v1/datasets", asJson("POST", { name, labels }));
/** @param {string} name */
export const deleteDataset = (name) => request(dataset(name), { method: "DELETE" });

/** Open an import to be filled and sealed. @param {string} name @param {string | null} text label of all its pictures @param {string} id idempotency key */
export const openImport = (name, text, id) =>
  requestJson(`${dataset(name)}/imports`, asJson("POST", text === null ? {} : { label: text }, { "Idempotency-Key": id }));

/** Take the corrected pictures of a job. Return the import. @param {string} name @param {string} job @param {string} id idempotency key */
export const takeCorrected = (name, job, id) =>
  requestJson(`${dataset(name)}/pictures`, asJson("POST", { job, corrected: true }, { "Idempotency-Key": id }));

/** @param {string} name @param {string} text */
export const addLabel = (name, text) => requestJson(`${dataset(name)}/labels`, asJson("POST", { name: text }));
/** @param {string} name @param {string} text @param {string} wanted @param {boolean} merge unite it with a label that has the wanted name */
export const renameLabel = (name, text, wanted, merge = false) => requestJson(label(name, text), asJson("PUT", { name: wanted, merge }));
/** @param {string} name @param {string} text @param {"unlabel" | "delete"} pictures what happens to its pictures */
export const deleteLabel = (name, text, pictures) => request(`${label(name, text)}?pictures=${pictures}`, { method: "DELETE" });

/** Return a page of pictures. @param {string} name @param {Record<string, any>} parameters @param {AbortSignal} [signal] */
export const readPictures = (name, parameters, signal) => requestJson(`${dataset(name)}/pictures?${asQuery(parameters)}`, { signal });
/** @param {string} name @param {string} id */
export const readPicture = (name, id) => requestJson(`${dataset(name)}/pictures/${id}`);
/** Return which of these pictures are gone. @param {string} name @param {string[]} ids @returns {Promise<string[]>} */
export async function findGone(name, ids) {
  const gone = await Promise.all(ids.map((id) => readPicture(name, id).then(() => false, (problem) => problem.status === 404 || Promise.reject(problem))));
  return ids.filter((_, place) => gone[place]);
}
/** Return the labelled pictures that look most like one. @param {string} name @param {string} id @param {AbortSignal} [signal] */
export const readNeighbours = async (name, id, signal) => (await requestJson(`${dataset(name)}/pictures/${id}/neighbours`, { signal })).data;
/** @param {string} name @param {Record<string, string | null>} labels by picture id; null removes the label */
export const labelPictures = (name, labels) => requestJson(`${dataset(name)}/pictures/labels`, asJson("POST", { labels }));
/** Keep the label of a picture against another one, or forget that with null. @param {string} name @param {string} id @param {string | null} text the other label */
export const rejectLabel = (name, id, text) => request(`${dataset(name)}/pictures/${id}`, asJson("PUT", { rejected: text }));
/** Delete pictures, even while the page is being left; the service passes over those that are gone. @param {string} name @param {string[]} pictures ids */
export const deletePictures = (name, pictures) => requestJson(`${dataset(name)}/pictures/delete`, { ...asJson("POST", { pictures }), keepalive: true });
/** Return the address of a picture. @param {string} name @param {string} id @param {boolean} thumb */
export const pictureAddress = (name, id, thumb = false) => `${dataset(name)}/pictures/${id}/image${thumb ? "?size=thumb" : ""}`;

/** Show the thumbnail of a picture if this browser does not support its format. @param {HTMLImageElement} image of the picture `data-key` @param {string} name */
export function elseThumbnail(image, name) {
  image.addEventListener("error", () => {
    const small = pictureAddress(name, image.dataset.key, true);
    if (image.getAttribute("src") !== small) image.src = small; // the picture may be gone
  });
}

/** Delete a classifier; its versions stay. @param {string} name */
export const deleteClassifier = (name) => request(`/v1/classifiers/${encodeURIComponent(name)}`, { method: "DELETE" });
/** @returns {Promise<object[]>} */
export const readClassifiers = () => dataOf("/v1/classifiers");
/** Return a classifier, or null if there is none. @param {string} name */
export const findClassifier = async (name) => (await readClassifiers()).find((found) => found.name === name) ?? null;
