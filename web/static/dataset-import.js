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

/** Imports one after the other: what is added during an import waits for its end. */
export class DatasetImport {
  /**
   * @param {string} name of the dataset @param {any} limits @param {() => void} onProgress called when pictures were added
   * @param {(job: string) => void} decide asks about pictures that the dataset has under another label
   */
  constructor(name, limits, onProgress, decide) {
    Object.assign(this, { name, limits, onProgress, decide, sender: null, ending: null, offered: null, cancelling: null, troubled: false, added: 0, last: Promise.resolve() });
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

  /** Check these files and import them, after those that were added before. @param {any} found files, or a promise of them @param {string | null} row @param {string} chosen label */
  add(found, row, chosen) {
    if (!this.added) this.#clear();
    this.#count(1);
    const warn = (event) => event.preventDefault();
    addEventListener("beforeunload", warn);
    const sent = () => removeEventListener("beforeunload", warn);
    const turn = this.last.then(() => this.#addNow(found, row, chosen, sent)).finally(() => {
      sent();
      this.#count(-1);
    });
    this.last = turn.catch(() => {});
    return turn;
  }

  #clear() {
    notice(null);
    show("import-result", false);
    byId("import-result").replaceChildren();
  }

  /** Say how many imports wait for the current one. */
  #count(more) {
    this.added += more;
    const waiting = this.added - 1;
    show("waiting", waiting > 0);
    if (waiting > 0) setText("waiting", `${plural(waiting, "more import")} ${waiting === 1 ? "waits" : "wait"}. Cancel ends only the current one.`);
  }

  async #addNow(found, row, chosen, sent) {
    const all = await found;
    const { choices, skipped } = await checkFiles(all, this.limits, (count) => this.#reading(count));
    show("reading", false);
    const much = tooManyFiles(choices, this.limits);
    if (much || !choices.length) return notice(much ? "Too many files." : "No pictures found.", much || fileList(skipped));
    assignKeys(choices);
    await this.offerResume();
    const label = labelFor(all, row, chosen);
    const before = await findInterrupted(choices);
    return this.#send(choices, skipped, label, before?.label === label ? before : null, sent);
  }

  #reading(count) {
    show("reading", true);
    setText("reading", `Reading ${plural(count, "file")}…`);
  }

  async #send(choices, skipped, label, before, sent) {
    this.ending = new AbortController();
    const archives = new Set(choices.filter(({ archive }) => archive).map(({ key }) => key));
    const folder = choices.some(({ name }) => name.includes("/"));
    this.record = { title: before?.title ?? titleOfFiles(choices), files: choices.length, folder, archives: before?.archives ?? [], dataset: this.name, label };
    this.sender = new Sender(choices, {
      scale: false,
      open: (id) => openImport(this.name, label, id),
      onOpen: (job) => this.#opened(job),
      onArrived: (keys) => this.#arrived(keys.filter((key) => archives.has(key))),
      onProgress: (progress) => this.#showSent(progress),
      onWait: (problem) => this.#waits(problem),
    }, before);
    this.#begin(choices);
    if (before) this.#opened(before.job);
    try {
      await this.sender.run();
      sent();
      done(this.sender.jobId);
      await this.followed;
      await this.#finish(skipped);
    } catch (problem) {
      this.offered = null; // the next files may be the rest of this import
      await this.cancelling; // so that the next import does not find this one
      if (problem.name === "AbortError") this.#say("Import cancelled.");
      else notice(problem.title ?? "The import stopped.", problem.message, " Add the same files again to send the rest.");
    } finally {
      this.#end();
    }
  }

  /** What is imported: the label, or the name of the folder or file; "" if there are several. */
  get #title() {
    return this.record.label ?? this.record.title;
  }

  #begin(choices) {
    setText("importing-title", `Importing ${plural(choices.length, "file")}${this.#title ? ` · ${this.#title}` : ""}`);
    show("importing", true);
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

  #waits(problem) {
    this.troubled = true;
    notice("Sending waits.", problem.message, " It resumes automatically.");
  }

  #arrived(archives) {
    if (this.troubled) notice(null);
    this.troubled = false;
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
    const words = this.#say(outcomeWords(outcomes.counts));
    if (outcomes.counts.conflict) words.append(" ", this.#decideButton(jobId));
    const guessed = this.job?.guessed_encodings ?? [];
    if (guessed.length) byId("import-result").append(element("p", {}, guessWords(guessed)));
    if (lost.length) byId("import-result").append(element("p", {}, `${plural(lost.length, "file")} skipped:`), fileList(lost));
  }

  /** Add a line about the current import to the results, and return it. @param {string} outcome */
  #say(outcome) {
    const { jobId } = this.sender;
    const line = element("p", {}, this.#title ? `${this.#title}: ` : "", element("strong", {}, outcome));
    if (jobId) line.append(" ", element("a", { href: `/result/${jobId}` }, "See this import"));
    byId("import-result").append(line);
    show("import-result", true);
    return line;
  }

  #decideButton(jobId) {
    const button = element("button", { type: "button", class: "btn btn-quiet" }, "Decide which label is right");
    button.addEventListener("click", () => this.decide(jobId));
    return button;
  }

  async #cancel() {
    this.ending.abort();
    this.cancelling = this.#cancelJob(this.sender);
    await this.cancelling;
    announce("Import cancelled.");
  }

  async #cancelJob(sender) {
    await sender.cancel().catch(() => {}); // it may have ended
    done(sender.jobId);
  }

  #end() {
    this.sender = null;
    show("importing", false);
    this.onProgress();
  }
}
