// Imports files into a dataset: sends them, follows the import, and sums up its outcome.

import { onClick } from "./buttons.js";
import { openImport } from "./datasets-api.js";
import { announce, byId, element, notice, setText, show } from "./dom.js";
import { assignKeys } from "./file-keys.js";
import { checkFiles, titleOfFiles, tooManyFiles } from "./files.js";
import { number, plural } from "./format.js";
import { labelFor } from "./import-labels.js";
import { Outcomes, outcomeWords } from "./import-outcomes.js";
import { done, findInterrupted, isOffered, offer, settle } from "./resume.js";
import { fileList } from "./selection.js";
import { Sender } from "./sender.js";
import { guessWords } from "./skipped.js";
import { claim, remember } from "./unfinished.js";
import { watch } from "./watch.js";

/** One import at a time. */
export class DatasetImport {
  /**
   * @param {string} name of the dataset @param {any} limits @param {() => void} onProgress called when pictures were added
   * @param {(job: string) => void} decide asks about pictures that the dataset has under another label
   */
  constructor(name, limits, onProgress, decide) {
    Object.assign(this, { name, limits, onProgress, decide, sender: null, ending: null, offered: null });
    onClick("settle", settle);
    byId("stop").addEventListener("click", () => this.#cancel());
  }

  /** Offer to resume an import that was interrupted in this browser. The next call tries again if the service is unavailable. */
  async offerResume() {
    this.offered ??= offer(this.name);
    await this.offered.catch((problem) => {
      this.offered = null;
      throw problem;
    });
    show("interrupted", isOffered() && !this.sender);
  }

  /** Check these files and import them. @param {any} found files, or a promise of them @param {string | null} row @param {string} chosen label */
  async add(found, row, chosen) {
    if (this.sender) return notice("One import at a time.", "Add these files after the current import.");
    notice(null);
    show("import-result", false);
    const all = await found;
    const { choices, skipped } = await checkFiles(all, this.limits, (count) => this.#reading(count));
    show("reading", false);
    const much = tooManyFiles(choices, this.limits);
    if (much || !choices.length) return notice(much ? "Too many files." : "No pictures found.", much || fileList(skipped));
    assignKeys(choices);
    await this.offerResume();
    const label = labelFor(all, row, chosen);
    const before = await findInterrupted(choices);
    return this.#send(choices, skipped, label, before?.label === label ? before : null);
  }

  #reading(count) {
    show("reading", true);
    setText("reading", `Reading ${plural(count, "file")}…`);
  }

  async #send(choices, skipped, label, before) {
    const warn = (event) => event.preventDefault();
    this.ending = new AbortController();
    const archives = new Set(choices.filter(({ archive }) => archive).map(({ key }) => key));
    const folder = choices.some(({ name }) => name.includes("/"));
    this.record = { title: before?.title ?? titleOfFiles(choices), files: choices.length, folder, archives: before?.archives ?? [], dataset: this.name, label };
    this.sender = new Sender(choices, {
      scale: false,
      open: (id) => openImport(this.name, label, id),
      onOpen: (job) => this.#opened(job),
      onArrived: (keys) => this.#arrived(keys.filter((key) => archives.has(key))),
      onProgress: (sent) => this.#showSent(sent),
      onWait: (problem) => notice("Sending waits.", problem.message, " It resumes automatically."),
    }, before);
    this.#begin(choices, label);
    if (before) this.#opened(before.job);
    addEventListener("beforeunload", warn);
    try {
      await this.sender.run();
      removeEventListener("beforeunload", warn);
      done(this.sender.jobId);
      await this.followed;
      await this.#finish(skipped);
    } catch (problem) {
      this.offered = null; // the next files may be the rest of this import
      if (problem.name !== "AbortError") notice(problem.title ?? "The import stopped.", problem.message, " Add the same files again to send the rest.");
    } finally {
      removeEventListener("beforeunload", warn);
      this.#end();
    }
  }

  #begin(choices, label) {
    const title = label ?? titleOfFiles(choices);
    setText("importing-title", `Importing ${plural(choices.length, "file")}${title ? ` · ${title}` : ""}`);
    show("importing", true);
    show("add-buttons", false);
    show("interrupted", false);
    byId("imported").value = 0;
    setText("imported-files", "–");
    this.#showSent(this.sender.sent);
  }

  #showSent(sent) {
    const { files } = this.sender.total;
    byId("sent").value = files ? Math.min(1, sent.files / files) : 0;
    setText("sent-files", `${number(Math.min(sent.files, files))} of ${number(files)}`);
  }

  #opened(job) {
    claim(job);
    remember({ ...this.record, job });
    this.#follow(job);
  }

  #arrived(archives) {
    this.record.archives.push(...archives);
    remember({ ...this.record, job: this.sender.jobId });
  }

  #follow(job) {
    this.followed = watch(job, (now) => this.#showJob(now), () => {}, this.ending.signal);
    this.followed.catch(() => {}); // awaited later
  }

  #showJob(job) {
    this.job = job;
    const { total, succeeded, failed } = job.counts;
    const all = Math.max(total, this.sender.total.files);
    byId("imported").value = (succeeded + failed) / all;
    setText("imported-files", `${number(succeeded + failed)} of ${number(all)}`);
    announce(`${number(succeeded + failed)} of ${plural(all, "picture")} imported.`);
    this.onProgress();
  }

  async #finish(skipped) {
    const { rejected, unreadable, jobId } = this.sender;
    const outcomes = new Outcomes(jobId);
    await outcomes.read(this.ending.signal);
    const lost = [...skipped, ...unreadable.map((name) => ({ name, reason: "could not be read on this computer" })), ...rejected];
    const words = element("p", {}, element("strong", {}, outcomeWords(outcomes.counts)), " ", element("a", { href: `/result/${jobId}` }, "See this import"));
    if (outcomes.counts.conflict) words.append(" ", this.#decideButton(jobId));
    const guessed = this.job?.guessed_encodings ?? [];
    const names = guessed.length ? [element("p", {}, guessWords(guessed))] : [];
    byId("import-result").replaceChildren(words, ...names, ...(lost.length ? [element("p", {}, `${plural(lost.length, "file")} skipped:`), fileList(lost)] : []));
    show("import-result", true);
  }

  #decideButton(jobId) {
    const button = element("button", { type: "button", class: "btn btn-quiet" }, "Decide which label is right");
    button.addEventListener("click", () => this.decide(jobId));
    return button;
  }

  async #cancel() {
    this.ending.abort();
    const { jobId } = this.sender;
    await this.sender.cancel().catch(() => {}); // it may have ended
    done(jobId);
    announce("Import cancelled.");
  }

  #end() {
    this.sender = null;
    show("importing", false);
    show("add-buttons", true);
    this.onProgress();
  }
}
