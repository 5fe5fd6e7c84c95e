// One upload as the page shows it, from its first request to the result.

import { fileList } from "./selection.js";
import { announce, byId, element, notice } from "./dom.js";
import { titleOfFiles } from "./files.js";
import { moment } from "./format.js";
import { done } from "./resume.js";
import { openJob } from "./api.js";
import { Sender } from "./sender.js";
import { SendingPanel } from "./sending-panel.js";
import { claim, remember } from "./unfinished.js";

//: Seconds of waiting above which the page tells the time of the next try.
const LONG_WAIT_S = 60;

/** Runs an upload and shows its progress and errors. */
export class Transfer {
  #onFinished;
  #finished = false;
  #troubled = false;

  /**
   * @param {any[]} choices with their keys
   * @param {any} before the interrupted upload that they continue, or null
   * @param {boolean} scale whether large pictures are scaled down
   * @param {string} classifier that answers; "" for the default
   * @param {() => void} onFinished called when the page can accept other files, unless it goes to the result
   */
  constructor(choices, before, scale, classifier, onFinished) {
    const title = before?.title ?? titleOfFiles(choices);
    this.#onFinished = onFinished;
    this.archives = new Set(choices.filter(({ archive }) => archive).map(({ key }) => key));
    this.record = { title, files: choices.length, folder: choices.some(({ name }) => name.includes("/")), archives: before?.archives ?? [] };
    this.sender = new Sender(choices, { scale, open: (id) => openJob(title ? { title } : null, classifier, id), ...this.#listeners() }, before);
    this.panel = new SendingPanel(this.sender);
    if (before) this.#opened(before.job);
  }

  #listeners() {
    return {
      onOpen: (job) => this.#opened(job),
      onArrived: (keys) => this.#recordArrived(keys),
      onProgress: (sent) => this.#finished || this.panel.progress(sent),
      onWait: (problem) => this.#showTrouble(problem),
    };
  }

  #opened(job) {
    this.#clearTrouble();
    claim(job);
    remember({ ...this.record, job });
    this.panel.follow(job);
  }

  #recordArrived(keys) {
    this.#clearTrouble();
    this.record.archives.push(...keys.filter((key) => this.archives.has(key)));
    remember({ ...this.record, job: this.sender.jobId });
  }

  /** Start or resume sending. */
  async resume() {
    this.#troubled = false;
    notice(null);
    this.panel.begin();
    byId("sending-title").focus();
    const warn = (event) => event.preventDefault(); // one per call, since the next call may begin before this one ends
    addEventListener("beforeunload", warn);
    try {
      const job = await this.sender.run();
      removeEventListener("beforeunload", warn);
      if (!this.#finished) this.#arrived(job); // unless it was cancelled at the last moment
    } catch (problem) {
      if (problem.name !== "AbortError" && !this.#finished) this.#failed(problem);
    } finally {
      removeEventListener("beforeunload", warn);
    }
  }

  /** Pause until the user resumes. */
  pause() {
    this.sender.pause();
    this.#clearTrouble();
    this.panel.halt("Paused");
    byId("go-on").focus();
  }

  /** Stop and cancel the job. */
  async cancel() {
    this.#end();
    byId("pick-files").focus();
    try {
      await this.sender.cancel();
      announce("Upload cancelled.");
      notice("Upload cancelled.", ...this.#jobLink());
    } catch (problem) {
      notice("Upload stopped,", "but its job could not be cancelled: ", problem.message);
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
    const rest = job ? [element("a", { href: `/result/${job}` }, "See the job with the other files")] : [];
    notice(job ? "Some files could not be sent." : "No files could be sent.", fileList(lost), ...rest);
  }

  /** Show why the upload stopped. It can be resumed unless the job is gone or closed. */
  #failed(problem) {
    if ([404, 409].includes(problem.status)) {
      done(this.sender.jobId);
      this.#end();
      notice("This job accepts no more files.", problem.detail, " ", ...this.#jobLink());
      return;
    }
    this.panel.halt("Upload stopped");
    notice(problem.title ?? "Something went wrong.", problem.detail ?? problem.message, " Files that have arrived are safe. Resume when the problem is solved.");
    byId("go-on").focus();
  }

  #end() {
    this.#finished = true;
    this.panel.end();
    this.#onFinished();
  }

  /** Show once that sending has to wait. */
  #showTrouble(problem) {
    if (this.#troubled || this.#finished) return;
    this.#troubled = true;
    const [what, why] = problem.status ? [problem.title, `${problem.detail} `] : ["Connection lost.", ""];
    const long = problem.retryAfter > LONG_WAIT_S;
    const when = long ? `after ${moment(Date.now() + problem.retryAfter * 1000)}` : "automatically";
    notice(what, why, `Files that have arrived are safe. Sending resumes ${when}.`);
  }

  #clearTrouble() {
    if (this.#troubled) notice(null);
    this.#troubled = false;
  }

  #jobLink() {
    const job = this.sender.jobId;
    return job ? ["Files that had arrived are in ", element("a", { href: `/result/${job}` }, "its job"), "."] : ["No files were kept."];
  }
}
