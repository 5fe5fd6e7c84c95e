// What all pages need of the document. Data only ever becomes text or attributes, never markup.

const SVG = "http://www.w3.org/2000/svg";
const SPRITE = new URL("icons.svg", import.meta.url).pathname;
//: Milliseconds between two sentences that a screen reader is given.
const ANNOUNCE_MS = 5000;

/** The element with this id. @param {string} id @returns {any} */
export const byId = (id) => document.getElementById(id);

/**
 * Make an element.
 * @param {string} tag
 * @param {Record<string, string | number | boolean>} attributes `true` sets an empty attribute, `false` none
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

/** An icon of the sprite; decoration only. @param {string} name */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `${SPRITE}#${name}`);
  svg.append(use);
  return svg;
}

/** Set an element's text, and touch nothing where it is the same. @param {string} id @param {string} text */
export function setText(id, text) {
  const target = byId(id);
  if (target.textContent !== text) target.textContent = text;
}

/** Show or hide an element. @param {string} id @param {boolean} visible */
export function show(id, visible) {
  byId(id).hidden = !visible;
}

/**
 * Show these as an element's children. One that is there already is not moved as long as their order stays, so that it
 * keeps the focus and a selection of its text.
 * @param {HTMLElement} list @param {HTMLElement[]} wanted
 */
export function arrange(list, wanted) {
  const staying = new Set(wanted);
  for (const child of Array.from(list.children)) if (!staying.has(child)) child.remove();
  wanted.forEach((child, place) => list.children[place] !== child && list.insertBefore(child, list.children[place] ?? null));
}

/**
 * Show something that needs attention, in words, or hide it with null.
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

/** Tell screen readers at once what came of something that was just done here. @param {string} text */
export const answer = (text) => byId("answer").replaceChildren(text);

/** Tell screen readers how things stand, at most every five seconds; of what comes in between, the last is told. @param {string} text */
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
