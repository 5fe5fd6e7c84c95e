// One upload on its way, as the page shows it: from its first request to the result.

import { listOf } from "./chosen.js";
import { announce, byId, element, notice } from "./dom.js";
import { titleFor } from "./files.js";
import { moment } from "./format.js";
import { done } from "./resuming.js";
import { Sender } from "./sender.js";
import { SendingPanel } from "./sending.js";
import { claim, remember } from "./unfinished.js";

//: Seconds until the next try, from which on it is said when that will be.
const LONG_WAIT_S = 60;

export class Transfer {
  #onOver;
  #over = false;
  #troubled = false;

  /**
   * @param {any[]} choices with their keys
   * @param {any} before the interrupted upload that they belong to, or null
   * @param {boolean} scale whether big pictures are scaled down
   * @param {() => void} onOver called when the page can take other files; not where it goes to the result
   */
  constructor(choices, before, scale, onOver) {
    const title = before?.title ?? titleFor(choices);
    this.#onOver = onOver;
    this.archives = new Set(choices.filter(({ archive }) => archive).map(({ key }) => key));
    this.record = { title, files: choices.length, folder: choices.some(({ name }) => name.includes("/")), archives: before?.archives ?? [] };
    this.sender = new Sender(choices, { scale, metadata: title ? { title } : null, ...this.#listeners() }, before);
    this.panel = new SendingPanel(this.sender);
    if (before) this.#opened(before.job);
  }

  #listeners() {
    return {
      onOpen: (job) => this.#opened(job),
      onArrived: (keys) => this.#noteArrived(keys),
      onProgress: (sent) => this.#over || this.panel.progress(sent),
      onWait: (problem) => this.#trouble(problem),
    };
  }

  #opened(job) {
    this.#calm();
    claim(job);
    remember({ ...this.record, job });
    this.panel.follow(job);
  }

  #noteArrived(keys) {
    this.#calm();
    this.record.archives.push(...keys.filter((key) => this.archives.has(key)));
    remember({ ...this.record, job: this.sender.jobId });
  }

  /** Send, or go on with it. */
  async goOn() {
    this.#troubled = false;
    notice(null);
    this.panel.begin();
    byId("sending-title").focus();
    const warn = (event) => event.preventDefault(); // one for each call: the next may begin before this one ends
    addEventListener("beforeunload", warn);
    try {
      const job = await this.sender.run();
      removeEventListener("beforeunload", warn);
      if (!this.#over) this.#arrived(job); // it was not cancelled at the last moment
    } catch (problem) {
      if (problem.name !== "AbortError" && !this.#over) this.#failed(problem);
    } finally {
      removeEventListener("beforeunload", warn);
    }
  }

  /** Stop until the person goes on. */
  pause() {
    this.sender.pause();
    this.#calm();
    this.panel.halt("Paused");
    byId("go-on").focus();
  }

  /** Stop for good, and cancel the job. */
  async cancel() {
    this.#end();
    byId("pick-files").focus();
    try {
      await this.sender.cancel();
      announce("The upload was cancelled.");
      notice("The upload was cancelled.", ...this.#whereabouts());
    } catch (problem) {
      notice("The upload was cancelled,", "but the service could not be told: ", problem.message);
    }
    done(this.sender.jobId);
  }

  #arrived(job) {
    done(this.sender.jobId);
    const { rejected, unreadable } = this.sender;
    const lost = [...unreadable.map((name) => ({ name, reason: "could not be read on this computer" })), ...rejected];
    if (!lost.length) {
      location.assign(`/result/${job}`);
      return;
    }
    this.#end();
    const rest = job ? [element("a", { href: `/result/${job}` }, "See the job with the rest")] : [];
    notice(job ? "Not everything could be sent." : "Nothing could be sent.", listOf(lost), ...rest);
  }

  /** A job that is gone or closed takes no more; anything else may be mended, and the upload gone on with. */
  #failed(problem) {
    if ([404, 409].includes(problem.status)) {
      done(this.sender.jobId);
      this.#end();
      notice("This job takes no more files.", problem.detail, " ", ...this.#whereabouts());
      return;
    }
    this.panel.halt("The upload has stopped");
    notice(problem.title ?? "That did not work.", problem.detail ?? problem.message, " What has arrived is safe: go on when that is mended.");
    byId("go-on").focus();
  }

  #end() {
    this.#over = true;
    this.panel.end();
    this.#onOver();
  }

  /** Say once that sending has to wait, however often it is tried. */
  #trouble(problem) {
    if (this.#troubled || this.#over) return;
    this.#troubled = true;
    const [what, why] = problem.status ? [problem.title, `${problem.detail} `] : ["The connection was lost.", ""];
    const long = problem.retryAfter > LONG_WAIT_S;
    const when = long ? `after ${moment(Date.now() + problem.retryAfter * 1000)}` : "as soon as the service takes more";
    notice(what, why, `What has arrived is safe. Sending goes on ${when}.`);
  }

  #calm() {
    if (this.#troubled) notice(null);
    this.#troubled = false;
  }

  #whereabouts() {
    const job = this.sender.jobId;
    return job ? ["What had arrived by then is in ", element("a", { href: `/result/${job}` }, "its job"), "."] : ["Nothing of it was kept."];
  }
}
