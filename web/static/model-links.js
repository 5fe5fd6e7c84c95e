// Where the pages of models are.

import { element } from "./dom.js";

/** @param {string} version */
export const modelAddress = (version) => `/models/${encodeURIComponent(version)}`;

/** @param {string} first @param {string} second */
export const compareAddress = (first, second) => `/models/compare?versions=${encodeURIComponent(first)},${encodeURIComponent(second)}`;

/** @param {string} version */
export const modelLink = (version) => element("a", { href: modelAddress(version) }, version);
