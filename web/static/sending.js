// Shows an upload on its way: what was sent, and what of that is classified already.

import { imageAddress, readResults } from "./api.js";
import { announce, byId, element, setText, show } from "./dom.js";
import { bytes, duration, number, plural } from "./format.js";
import { watch } from "./watch.js";

//: Seconds of sending after which the time that is left can be told.
const ETA_AFTER_S = 3;
//: Pictures that are shown with their class as soon as they have one.
const FIRST = 8;

export class SendingPanel {
  /** @param {import("./sender.js").Sender} sender */
  constructor(sender) {
    this.sender = sender;
    this.finished = 0;
    this.following = null;
    this.there = sender.sent.weight; // bytes of what an earlier visit sent
    this.began = performance.now();
    this.atBegin = sender.sent;
  }

  /** Sending begins, or goes on: what is measured by time begins anew. */
  begin() {
    this.began = performance.now();
    this.atBegin = { ...this.sender.sent };
    this.#state(`Sending ${plural(this.sender.total.files, "file")}`, true);
    this.progress(this.sender.sent);
  }

  /** It is paused, or has stopped. @param {string} title */
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

  /** @param {{files: number, bytes: number, weight: number}} sent */
  progress(sent) {
    const { files, weight } = this.sender.total;
    const share = weight ? Math.min(1, sent.weight / weight) : 0;
    byId("sent").value = share;
    setText("sent-files", `${number(Math.min(sent.files, files))} of ${number(files)}`);
    setText("sent-bytes", bytes(sent.bytes));
    const instead = sent.weight - this.there;
    setText("sent-instead", sent.bytes < 0.9 * instead ? `instead of ${bytes(instead)}` : `of ${bytes(weight - this.there)}`);
    this.#times(sent, share);
    announce(`${Math.floor(share * 100)} % sent, ${number(sent.files)} of ${plural(files, "file")}; ${number(this.finished)} classified.`);
  }

  #times(sent, share) {
    const seconds = (performance.now() - this.began) / 1000;
    const done = (sent.weight - this.atBegin.weight) / Math.max(1, this.sender.total.weight);
    setText("sent-rate", sent.bytes > this.atBegin.bytes ? `${bytes((sent.bytes - this.atBegin.bytes) / Math.max(0.1, seconds))}/s` : "–");
    const left = secondsLeft(share, done, seconds);
    setText("time-left", left === null ? "–" : duration(left));
  }

  /** Follow the job: its first pictures are classified while the last ones are on their way. @param {string} job */
  follow(job) {
    byId("results-link").href = `/result/${job}`;
    byId("first-results").replaceChildren();
    show("first", false);
    show("results-link", false);
    this.following = new AbortController();
    watch(job, (now) => this.#classified(now), () => {}, this.following.signal).catch(() => {}); // sending tells of troubles
  }

  #classified({ id, counts }) {
    this.finished = counts.succeeded + counts.failed + counts.cancelled;
    const total = Math.max(this.sender.total.files, counts.total);
    byId("classified").value = this.finished / total;
    setText("classified-files", `${number(this.finished)} of ${number(total)}`);
    show("results-link", this.finished > 0);
    if (counts.succeeded && byId("first-results").childElementCount < FIRST) this.#showFirst(id).catch(() => {}); // the next ones will
  }

  async #showFirst(job) {
    const { data } = await readResults(job, { state: "succeeded", limit: FIRST }, this.following.signal);
    byId("first-results").replaceChildren(...data.map((item) => firstResult(job, item)));
    show("first", data.length > 0);
  }

  /** It is over. */
  end() {
    this.following?.abort();
  }
}

/**
 * Estimate the seconds left, or return null while it is too early to tell.
 * @param {number} share sent in all, in [0, 1] @param {number} done share sent since measuring began @param {number} seconds since then
 */
export const secondsLeft = (share, done, seconds) => (done > 0 && seconds > ETA_AFTER_S ? ((1 - share) * seconds) / done : null);

function firstResult(job, { key, predictions: [best] }) {
  const picture = element("img", { src: imageAddress(job, key, true), alt: "", width: 64, height: 64 });
  return element("li", {}, picture, best.label);
}
