// Scales big pictures down before they are sent, in a worker of the browser, so that the page stays responsive.

//: Files of fewer bytes travel as they are: most of them are small pictures, and the gain would be small too.
const WORTH_BYTES = 128 * 1024;

/** Whether this browser can. */
export const canScale = () => "OffscreenCanvas" in globalThis && "createImageBitmap" in globalThis && "Worker" in globalThis;

/** One picture at a time; several scalers work side by side. */
export class Scaler {
  #worker = null;
  #broken = null;

  /**
   * The file scaled down, or the file itself where that is not worth it or cannot be done.
   * @param {File} file @returns {Blob | Promise<Blob>}
   */
  scale(file) {
    return file.size < WORTH_BYTES ? file : this.#scaled(file);
  }

  async #scaled(file) {
    this.#start();
    const { port1, port2 } = new MessageChannel();
    const answer = new Promise((resolve) => (port1.onmessage = ({ data }) => resolve(data)));
    this.#worker.postMessage({ file, port: port2 }, [port2]);
    const smaller = await Promise.race([answer, this.#broken]);
    port1.close();
    return smaller && smaller.size < file.size ? smaller : file;
  }

  /** Give the worker's memory back. */
  close() {
    this.#worker?.terminate();
    this.#worker = null;
  }

  #start() {
    if (this.#worker) return;
    this.#worker = new Worker(new URL("scaling-worker.js", import.meta.url), { type: "module" });
    this.#broken = new Promise((resolve) => (this.#worker.onerror = () => resolve(null)));
  }
}
