"""A webhook receiver: a real HTTP server whose responses, good or bad, a test chooses."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: The response to one call: a status, or a function that uses the handler as it likes.
Manner = int | Callable[["Handler"], None]


@dataclass
class Call:
    """A received request."""

    path: str
    headers: dict[str, str]
    body: str

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass
class Receiver:
    """The port, the received calls and the next responses; when those are used up, it responds with 204."""

    port: int = 0
    calls: list[Call] = field(default_factory=list)
    manners: list[Manner] = field(default_factory=list)
    #: Set at the end of the test, to end handlers that hang.
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    receiver: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        manner = self.receiver.manners.pop(0) if self.receiver.manners else 204
        self.receiver.calls.append(Call(self.path, {name.lower(): text for name, text in self.headers.items()}, body))
        if callable(manner):
            manner(self)
        else:
            self.answer(manner)

    def answer(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_args: object) -> None:
        """Write nothing to stderr."""


def hang(handler: Handler) -> None:
    """Send no response until the test ends."""
    handler.receiver.over.wait(60)
    handler.close_connection = True


def drip(handler: Handler) -> None:
    """Send the head byte by byte, each within any timeout of a single read."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not handler.receiver.over.wait(0.05):
        handler.wfile.write(b"x")


def die(handler: Handler) -> None:
    """Send less than the Content-Length says."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    handler.close_connection = True


def babble(handler: Handler) -> None:
    """Send bytes that are not HTTP."""
    handler.wfile.write(b"nonsense\r\n\r\n")
    handler.close_connection = True


def flood(handler: Handler) -> None:
    """Send a very large body."""
    handler.answer(200, b"x" * 1_000_000)


def away(handler: Handler) -> None:
    """Redirect to another path of this server."""
    handler.answer(307, Location=f"{handler.receiver.url}/elsewhere")


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Run a receiver on a free local port."""
    receiver = Receiver()
    handler = type("ThisHandler", (Handler,), {"receiver": receiver})
    server = Server(("127.0.0.1", 0), handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 100

    def handle_error(self, *_args: object) -> None:
        """Ignore senders that hang up, as some tests intend."""
