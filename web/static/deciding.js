// A dialog that asks about one case after the other, and undoes what was decided.

import { byId, setText, show } from "./dom.js";
import { number } from "./format.js";
import { asksUndo } from "./label-keys.js";

/** The dialog. Its parts have its id as a prefix: `-title`, `-close`, `-case`, `-choices`, `-end`, `-undo`, `-said`, `-previous`, `-place` and `-next`. */
export class Deciding {
  /**
   * @param {string} id of the dialog
   * @param {{closed: () => void, failed: (problem: any) => void}} actions `closed` is called if something was changed
   */
  constructor(id, actions) {
    Object.assign(this, { id, actions, waiting: [], decided: [], place: 0, reading: null, dialog: byId(id) });
    this.part("close").addEventListener("click", () => this.dialog.close());
    this.part("undo").addEventListener("click", () => this.undo());
    this.part("previous").addEventListener("click", () => this.go(-1));
    this.part("next").addEventListener("click", () => this.go(1));
    this.dialog.addEventListener("keydown", (event) => this.#pressed(event));
    this.dialog.addEventListener("close", () => this.#closed());
  }

  /** Return the part of the dialog with this name. @param {string} name */
  part(name) {
    return byId(`${this.id}-${name}`);
  }

  /** The case that is asked about, or undefined. */
  get current() {
    return this.waiting[this.place];
  }

  /** Ask about these cases. @param {any[]} cases */
  ask(cases) {
    Object.assign(this, { waiting: cases, decided: [], place: 0 });
    this.say("");
    this.dialog.showModal();
    this.show();
  }

  /** Show the current case. */
  show() {
    this.reading?.abort();
    this.place = Math.max(0, Math.min(this.place, this.waiting.length - 1));
    const found = this.current;
    for (const name of ["case", "choices"]) show(`${this.id}-${name}`, Boolean(found));
    show(`${this.id}-end`, !found);
    this.part("previous").disabled = this.place === 0;
    this.part("next").disabled = this.place >= this.waiting.length - 1;
    setText(`${this.id}-place`, found ? `${number(this.place + 1)} of ${number(this.waiting.length)}` : "");
    this.renew();
    if (!found) return;
    const { signal } = (this.reading = new AbortController());
    this.showCase(found, signal).then(() => this.#keepFocus()).catch((problem) => signal.aborted || this.fail(problem));
  }

  /** Show whether the last decision can be undone. */
  renew() {
    this.part("undo").disabled = !this.decided.at(-1)?.canUndo();
    this.#keepFocus();
  }

  /** Say what was done. @param {string} text */
  say(text) {
    setText(`${this.id}-said`, text);
  }

  /**
   * Do what was decided about the current case, and go on. Without `act`, nothing is changed.
   * @param {string} said @param {(() => Promise<void>) | null} act @param {() => Promise<void>} undo @param {() => boolean} canUndo
   */
  decide(said, act, undo, canUndo = () => true) {
    this.decided.push({ found: this.current, place: this.place, undo: act && undo, canUndo: act ? canUndo : () => true });
    this.say(said);
    this.drop();
    act?.().catch((problem) => this.fail(problem));
  }

  /** Ask no longer about the current case. */
  drop() {
    this.waiting.splice(this.place, 1);
    this.show();
  }

  undo() {
    if (!this.decided.at(-1)?.canUndo()) return;
    const { found, place, undo } = this.decided.pop();
    Promise.resolve(undo?.()).then(() => this.#putBack(found, place)).catch((problem) => this.fail(problem));
  }

  #putBack(found, place) {
    this.waiting.splice(place, 0, found);
    this.place = place;
    this.say("Undone.");
    this.show();
  }

  go(steps) {
    if (!this.waiting[this.place + steps]) return;
    this.place += steps;
    this.show();
  }

  /** Close the dialog and show an error. @param {any} problem */
  fail(problem) {
    this.dialog.close();
    this.actions.failed(problem);
  }

  #pressed(event) {
    const { key, ctrlKey, metaKey, altKey } = event;
    if (asksUndo(event)) this.undo();
    else if (ctrlKey || metaKey || altKey) return;
    else if (key === "ArrowLeft") this.go(-1);
    else if (key === "ArrowRight") this.go(1);
    else if (!this.current || !this.pressed(key)) return;
    event.preventDefault();
  }

  /** Keys only reach the dialog while it has the focus: the button that had it may be gone or disabled. */
  #keepFocus() {
    const { activeElement } = document;
    if (this.dialog.open && (!this.dialog.contains(activeElement) || activeElement.disabled)) this.part("title").focus();
  }

  #closed() {
    this.reading?.abort();
    if (this.decided.some(({ undo }) => undo)) this.actions.closed();
  }
}
