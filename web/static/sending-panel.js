// Shows the progress of an upload and of its classification.

import { imageAddress, readResults } from "./api.js";
import { announce, byId, element, setText, show } from "./dom.js";
import { bytes, duration, number, plural, wholePercent } from "./format.js";
import { watch } from "./watch.js";

//: Seconds of sending before the time left is estimated.
const ETA_AFTER_S = 3;
//: Number of first results to show.
const FIRST = 8;

/** The panel of a running upload. */
export class SendingPanel {
  /** @param {import("./sender.js").Sender} sender */
  constructor(sender) {
    this.sender = sender;
    this.finished = 0;
    this.following = null;
    this.sentBefore = sender.sent.originalBytes; // by an earlier visit
    this.began = performance.now();
    this.atBegin = sender.sent;
  }

  /** Call when sending starts or resumes. Speed and time left are measured from here. */
  begin() {
    this.began = performance.now();
    this.atBegin = { ...this.sender.sent };
    this.#state(`Sending ${plural(this.sender.total.files, "file")}`, true);
    this.progress(this.sender.sent);
  }

  /** Call when sending is paused or has stopped. @param {string} title */
  halt(title) {
    this.#state(title, false);
    setText("time-left", "–");
    announce(`${title}.`);
  }

  #state(title, moving) {
    setText("sending-title", title);
    show("pause", moving);
    show("go-on", !moving);
    byId("sending").dataset.moving = String(moving);
  }

  /** Show what has been sent. @param {{files: number, bytes: number, originalBytes: number}} sent */
  progress(sent) {
    const { files, originalBytes } = this.sender.total;
    const share = originalBytes ? Math.min(1, sent.originalBytes / originalBytes) : 0;
    byId("sent").value = share;
    setText("sent-files", `${number(Math.min(sent.files, files))} of ${number(files)}`);
    setText("sent-bytes", bytes(sent.bytes));
    const instead = sent.originalBytes - this.sentBefore;
    setText("sent-instead", sent.bytes < 0.9 * instead ? `instead of ${bytes(instead)}` : `of ${bytes(originalBytes - this.sentBefore)}`);
    this.#times(sent, share);
    announce(`${wholePercent(share)} sent, ${number(sent.files)} of ${plural(files, "file")}; ${number(this.finished)} classified.`);
  }

  #times(sent, share) {
    const seconds = (performance.now() - this.began) / 1000;
    const done = (sent.originalBytes - this.atBegin.originalBytes) / Math.max(1, this.sender.total.originalBytes);
    setText("sent-rate", sent.bytes > this.atBegin.bytes ? `${bytes((sent.bytes - this.atBegin.bytes) / Math.max(0.1, seconds))}/s` : "–");
    const left = secondsLeft(share, done, seconds);
    setText("time-left", left === null ? "–" : duration(left));
  }

  /** Follow the job, whose first pictures are classified while others are still being sent. @param {string} job */
  follow(job) {
    byId("results-link").href = `/result/${job}`;
    byId("first-results").replaceChildren();
    show("first", false);
    show("results-link", false);
    this.following = new AbortController();
    watch(job, (now) => this.#classified(now), () => {}, this.following.signal).catch(() => {}); // the sender reports errors
  }

  #classified({ id, counts }) {
    this.finished = counts.succeeded + counts.failed + counts.cancelled;
    const total = Math.max(this.sender.total.files, counts.total);
    byId("classified").value = this.finished / total;
    setText("classified-files", `${number(this.finished)} of ${number(total)}`);
    show("results-link", this.finished > 0);
    if (counts.succeeded && byId("first-results").childElementCount < FIRST) this.#showFirst(id).catch(() => {}); // the next update will show them
  }

  async #showFirst(job) {
    const { data } = await readResults(job, { state: "succeeded", limit: FIRST }, this.following.signal);
    byId("first-results").replaceChildren(...data.map((item) => firstResult(job, item)));
    show("first", data.length > 0);
  }

  /** Stop following the job. */
  end() {
    this.following?.abort();
  }
}

/**
 * Estimate the seconds left, or return null while it is too early to tell.
 * @param {number} share sent in total, in [0, 1] @param {number} done share sent since measuring began @param {number} seconds since then
 */
export const secondsLeft = (share, done, seconds) => (done > 0 && seconds > ETA_AFTER_S ? ((1 - share) * seconds) / done : null);

function firstResult(job, { key, predictions: [best] }) {
  const picture = element("img", { src: imageAddress(job, key, true), alt: "", width: 64, height: 64 });
  return element("li", {}, picture, best.label);
}
