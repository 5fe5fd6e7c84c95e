// Addresses of the model pages.

import { element } from "./dom.js";

/** Return the address of a version's page. @param {string} version */
export const modelAddress = (version) => `/models/${encodeURIComponent(version)}`;

/** Return the address that compares two versions. @param {string} first @param {string} second */
export const compareAddress = (first, second) => `/models/compare?versions=${encodeURIComponent(first)},${encodeURIComponent(second)}`;

/** Return a link to the page of a classifier. @param {string} name */
export const classifierLink = (name) => element("a", { href: `/classifiers/${encodeURIComponent(name)}` }, name);

/** Return a link to a version's page. @param {string} version */
export const modelLink = (version) => element("a", { href: modelAddress(version) }, version);
