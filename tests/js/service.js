// A stand-in for the browser's connection to the service: fetch and XMLHttpRequest both call one handler.

/**
 * @typedef {{method: string, path: string, body: any, headers: Record<string, string>}} Request
 * @typedef {{status?: number, json?: any, text?: string, headers?: Record<string, string>}} Reply
 * @param {(request: Request) => Reply | "lost" | Promise<Reply | "lost">} handler "lost" breaks the connection
 * @returns {Request[]} all requests, which grows
 */
export function serve(handler) {
  const requests = [];
  const send = async (method, path, body, headers = {}) => {
    const request = { method, path, body, headers };
    requests.push(request);
    const reply = await handler(request);
    if (reply === "lost") throw new TypeError("network error");
    const text = reply.text ?? (reply.json === undefined ? null : JSON.stringify(reply.json));
    return new Response(text, { status: reply.status ?? 200, headers: reply.headers });
  };
  globalThis.document = { hidden: false, querySelector: () => null };
  globalThis.fetch = async (path, { method = "GET", body, headers, signal } = {}) => {
    signal?.throwIfAborted();
    return send(method, path, body && JSON.parse(body), headers);
  };
  globalThis.XMLHttpRequest = class extends FakeXhr {
    deliver() {
      return send(this.method, this.path, this.body, this.headers);
    }
  };
  return requests;
}

class FakeXhr {
  upload = {};
  headers = {};

  open(method, path) {
    Object.assign(this, { method, path });
  }

  setRequestHeader(name, value) {
    this.headers[name] = value;
  }

  getResponseHeader(name) {
    return this.response.headers.get(name);
  }

  abort() {
    this.aborted = true;
    this.onabort();
    this.onloadend();
  }

  async send(body) {
    this.body = body;
    try {
      this.response = await this.deliver();
      this.responseText = await this.response.text();
      this.status = this.response.status;
      if (!this.aborted) this.onload();
    } catch {
      if (!this.aborted) this.onerror();
    }
    if (!this.aborted) this.onloadend();
  }
}

/** Run timers at once, in the given order of calls, and return the delays in ms that were asked for. @param {import("node:test").TestContext} t */
export function skipWaiting(t) {
  const delays = [];
  const { setTimeout } = globalThis;
  globalThis.setTimeout = (work, ms) => {
    delays.push(ms);
    return setTimeout(work, 0);
  };
  t.after(() => (globalThis.setTimeout = setTimeout));
  return delays;
}
