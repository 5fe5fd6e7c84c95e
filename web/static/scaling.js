// Scales large pictures down before upload, in a web worker that keeps the page responsive.

//: Smaller files, in bytes, are sent unchanged, since the gain would be small.
const WORTH_BYTES = 128 * 1024;

/** Whether this browser can scale pictures. */
export const canScale = () => "OffscreenCanvas" in globalThis && "createImageBitmap" in globalThis && "Worker" in globalThis;

/** Scales one picture at a time in its own worker. */
export class Scaler {
  #worker = null;
  #broken = null;

  /**
   * Return the scaled file, or the file itself if it is small or cannot be scaled.
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

  /** Stop the worker. */
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
