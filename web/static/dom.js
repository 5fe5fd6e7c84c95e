// Helpers for the document. Data becomes text or attributes, never markup.

const SVG = "http://www.w3.org/2000/svg";
const SPRITE = new URL("icons.svg", import.meta.url).pathname;
//: Milliseconds between two announcements for screen readers.
const ANNOUNCE_MS = 5000;

/** Return the element with this id. @param {string} id @returns {any} */
export const byId = (id) => document.getElementById(id);

/**
 * Create an element.
 * @param {string} tag
 * @param {Record<string, string | number | boolean>} attributes `true` sets an empty attribute; `false` sets none
 * @param {...(Node | string)} children strings become text
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children);
  return made;
}

/** Return a decorative icon of the sprite. @param {string} name */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `${SPRITE}#${name}`);
  svg.append(use);
  return svg;
}

/** Set an element's text if it differs. @param {string} id @param {string} text */
export function setText(id, text) {
  const target = byId(id);
  if (target.textContent !== text) target.textContent = text;
}

/** Show or hide an element. @param {string} id @param {boolean} visible */
export function show(id, visible) {
  byId(id).hidden = !visible;
}

/**
 * Make these the children of an element. A child that is already in place is not moved, so it keeps the focus and
 * selected text.
 * @param {HTMLElement} list @param {HTMLElement[]} wanted
 */
export function arrange(list, wanted) {
  const staying = new Set(wanted);
  for (const child of Array.from(list.children)) if (!staying.has(child)) child.remove();
  wanted.forEach((child, place) => list.children[place] !== child && list.insertBefore(child, list.children[place] ?? null));
}

/**
 * Show the page's notice, or hide it with null.
 * @param {string | null} title
 * @param {...(Node | string)} rest
 */
export function notice(title, ...rest) {
  const box = byId("notice");
  box.hidden = title === null;
  box.replaceChildren();
  if (title !== null) box.append(icon("alert"), element("div", {}, element("strong", {}, title), " ", ...rest));
}

let announced = 0;
let waiting = 0;

/** Tell screen readers at once the result of an action. @param {string} text */
export const answer = (text) => byId("answer").replaceChildren(text);

/** Tell screen readers the current status, at most every five seconds; the last text wins. @param {string} text */
export function announce(text) {
  clearTimeout(waiting);
  const left = announced + ANNOUNCE_MS - performance.now();
  waiting = setTimeout(
    () => {
      announced = performance.now();
      setText("live", text);
    },
    announced ? Math.max(0, left) : 0,
  );
}
