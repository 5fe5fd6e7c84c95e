// Takes pictures of one label with a webcam or a phone's camera: one by one, or many while the button is held.

import { showProblem } from "./buttons.js";
import { byId, element, setText } from "./dom.js";
import { number, plural } from "./format.js";

//: Milliseconds between two pictures while the button is held, and the most that are taken before they are added.
const EVERY_MS = 200;
const MOST = 300;
//: Longer side of a picture in pixels, its quality as a JPEG, and the last pictures that are shown.
const SIDE = 1024;
const QUALITY = 0.9;
const SHOWN = 8;

/** Whether this browser gives pages a camera: on HTTPS and localhost only. */
export const hasCamera = () => Boolean(navigator.mediaDevices?.getUserMedia);

/** The dialog with the camera's picture. */
export class Camera {
  /** @param {(found: {file: File, name: string}[], label: string) => void} onTaken receives the pictures and their label */
  constructor(onTaken) {
    Object.assign(this, { onTaken, shots: [], stream: null, timer: 0, dialog: byId("shooting") });
    const button = byId("shoot");
    button.addEventListener("pointerdown", ({ pointerId }) => {
      button.setPointerCapture(pointerId); // a finger that slides off the button still holds it
      this.#hold();
    });
    for (const end of ["pointerup", "pointercancel", "blur", "keyup"]) button.addEventListener(end, () => this.#release());
    button.addEventListener("keydown", (event) => this.#pressed(event));
    button.addEventListener("click", ({ detail }) => detail === 0 && this.#shoot()); // by a screen reader
    button.addEventListener("contextmenu", (event) => event.preventDefault()); // a long press on a phone
    byId("shots-add").addEventListener("click", () => this.#add());
    byId("shots-discard").addEventListener("click", () => this.#forget());
    byId("shooting-label").addEventListener("input", () => setText("shooting-hint", ""));
    byId("shooting-close").addEventListener("click", () => this.#mayClose() && this.dialog.close());
    this.dialog.addEventListener("cancel", (event) => this.#mayClose() || event.preventDefault());
    this.dialog.addEventListener("close", () => this.#stop());
    addEventListener("pagehide", () => this.#stop());
  }

  /** Open the dialog. @param {string[]} labels that are there; another one is added @param {string} chosen */
  async open(labels, chosen) {
    byId("shooting-labels").replaceChildren(...labels.map((label) => element("option", { value: label })));
    byId("shooting-label").value = chosen || labels.at(0) || "";
    this.dialog.showModal();
    this.#forget();
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1280 } } });
      if (!this.dialog.open) return stream.getTracks().forEach((track) => track.stop());
      this.stream = stream;
      byId("shooting-video").srcObject = stream;
      await byId("shooting-video").play();
      byId("shoot").disabled = false;
      byId("shoot").focus();
    } catch (problem) {
      if (!this.dialog.open) return undefined;
      this.dialog.close();
      showProblem({ title: "The camera cannot be used.", detail: whyNot(problem) });
    }
    return undefined;
  }

  #pressed(event) {
    if (event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
    if (!event.repeat) this.#hold();
  }

  #hold() {
    if (this.timer) return;
    this.#shoot();
    this.timer = setInterval(() => this.#shoot(), EVERY_MS);
  }

  #release() {
    clearInterval(this.timer);
    this.timer = 0;
  }

  async #shoot() {
    const video = byId("shooting-video");
    if (!this.stream || this.shots.length >= MOST) return this.#release();
    const scale = Math.min(1, SIDE / Math.max(video.videoWidth, video.videoHeight));
    const canvas = element("canvas", { width: Math.round(video.videoWidth * scale), height: Math.round(video.videoHeight * scale) });
    canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
    const name = nameOf(new Date(), this.shots.length);
    const shot = { name, file: null };
    this.shots.push(shot);
    this.#showCount();
    const content = await new Promise((resolve) => { canvas.toBlob(resolve, "image/jpeg", QUALITY); });
    shot.file = new File([content], name, { type: "image/jpeg" });
    if (this.shots.includes(shot)) this.#showShot(content);
    return undefined;
  }

  #showShot(content) {
    const image = element("img", { src: URL.createObjectURL(content), alt: "" });
    image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
    byId("shots").prepend(image);
    while (byId("shots").children.length > SHOWN) byId("shots").lastChild.remove();
    this.#showCount();
  }

  #showCount() {
    const { length } = this.shots;
    const ready = this.shots.every(({ file }) => file);
    setText("shots-count", length < MOST ? `${plural(length, "picture")} taken.` : `${plural(length, "picture")} taken: add them before you take more.`);
    setText("shots-add-text", length ? `Add ${number(length)}` : "Add");
    setText("shots-discard-text", length ? `Discard ${number(length)}` : "Discard");
    byId("shots-add").disabled = !ready || !length;
    byId("shots-discard").disabled = !length;
  }

  #add() {
    const label = byId("shooting-label").value.trim();
    if (!label) {
      setText("shooting-hint", "Give the pictures a label.");
      byId("shooting-label").focus();
      return;
    }
    this.onTaken(this.shots.map(({ file, name }) => ({ file, name })), label);
    this.shots = [];
    this.dialog.close();
  }

  #forget() {
    this.shots = [];
    byId("shots").replaceChildren();
    setText("shooting-hint", "");
    this.#showCount();
  }

  /** Whether the dialog may be closed: pictures that were taken are added or discarded first. */
  #mayClose() {
    const { length } = this.shots;
    setText("shooting-hint", length ? `Add or discard the ${plural(length, "picture")} first.` : "");
    if (length) byId("shots-add").focus();
    return length === 0;
  }

  #stop() {
    this.#release();
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    byId("shooting-video").srcObject = null;
    byId("shoot").disabled = true;
  }
}

/** Return a file name by time and number. @param {Date} now @param {number} place from 0 */
export const nameOf = (now, place) => `camera-${now.toISOString().slice(0, 19).replaceAll(/[-:]/g, "")}-${String(place + 1).padStart(3, "0")}.jpg`;

/** Say why there is no picture. @param {Error} problem of the browser */
export function whyNot({ name, message }) {
  if (name === "NotAllowedError") return "This browser does not allow it. Allow the camera for this page in the browser's settings.";
  if (name === "NotFoundError" || name === "OverconstrainedError") return "No camera was found.";
  if (name === "NotReadableError") return "Another program is using it.";
  return message;
}
