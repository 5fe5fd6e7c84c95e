"""gunicorn's worker class, logger and hooks.

`--config python:web.server` makes the functions here gunicorn's hooks.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import shutil
import socket
import tempfile
import time
from contextlib import closing
from http import HTTPStatus
from typing import Any

from gunicorn import util
from gunicorn.glogging import Logger as GunicornLogger
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import ThreadWorker

from shared import logs
from shared.access.key_store import KeyStore
from shared.redis.connection import connect
from shared.settings import load_settings
from shared.startup import check_binding, exit_on_config_error
from web.monitoring import METRICS_FOLDER

#: M_MMAP_THRESHOLD of glibc's malloc.h, and its first value in bytes.
MMAP_THRESHOLD, MMAP_BYTES = -3, 128 * 1024

#: Bytes that gunicorn receives at a time: as many as the app reads.
RECEIVE_BYTES = 64 * 1024

#: Seconds, and bytes at a time, for which a body is read after the response to a request that was refused.
LINGER_S, LINGER_BYTES = 2.0, 64 * 1024


def on_starting(_server: Any) -> None:
    """Exit if a setting is wrong. Make the folder for the metrics of all processes, and load the app to share it."""
    with exit_on_config_error():
        settings = load_settings()
        with closing(connect(settings.resolved_redis_url())) as client:
            check_binding(settings, KeyStore(client))
    return_buffers()
    receive_in_pieces()
    os.environ[METRICS_FOLDER] = tempfile.mkdtemp(prefix="darkroom-metrics-")
    importlib.import_module("web.app")
    gc.collect()
    gc.freeze()  # a collection would write to the shared memory, and so copy it


def return_buffers() -> None:
    """Let glibc return each big buffer to the system when it is freed.

    By default it raises the size that counts as big whenever such a buffer is freed, and each web process grew by 10 to
    20 MB. Another C library has no such setting.
    """
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(MMAP_THRESHOLD, MMAP_BYTES)


def receive_in_pieces() -> None:
    """Let gunicorn receive RECEIVE_BYTES of a body at a time.

    Of the 1 MiB that it would receive, it copies what is left with each read: ten times the work.
    """
    SocketUnreader.max_body_chunk = RECEIVE_BYTES


def on_exit(_server: Any) -> None:
    """Remove the folder of the metrics."""
    shutil.rmtree(os.environ[METRICS_FOLDER], ignore_errors=True)


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Worker for `gunicorn --worker-class web.server.Worker`."""

    def init_process(self) -> None:
        """Replace gunicorn's HTML error page, for which there is no setting."""
        util.write_error = write_problem
        super().init_process()

    def handle(self, conn: Any) -> Any:
        """Linger before a connection is closed."""
        kept = super().handle(conn)
        if not kept:
            linger(conn.sock)
        return kept

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Send `100 Continue` when the app first reads the body, not at once as gunicorn does.

        So a refused request is never sent. Its connection is closed: the client may still send the body.
        """
        if not req._expected_100_continue:
            return super().handle_request(req, conn)
        req._expected_100_continue = False
        req.body = body = ContinueBody(req.body, conn.sock)
        return super().handle_request(req, conn) and body.requested


def linger(client: socket.socket) -> None:
    """Say that nothing follows the response, then discard what the client sends, until it has read it or LINGER_S.

    gunicorn itself discards 64 KiB and closes. A proxy that still sends would find the connection broken, and answer
    502 without having read the response. It does so in the thread that accepts all connections, which would wait for a
    client that stays; after this it has nothing to wait for.
    """
    deadline = time.monotonic() + LINGER_S
    with contextlib.suppress(OSError):
        client.shutdown(socket.SHUT_WR)
        with contextlib.suppress(TimeoutError):
            while (left := deadline - time.monotonic()) > 0:
                client.settimeout(left)
                if not client.recv(LINGER_BYTES):
                    break
        client.shutdown(socket.SHUT_RDWR)


class ContinueBody:
    """A request body that the client sends only after `100 Continue` (RFC 9110, 10.1.1)."""

    def __init__(self, body: Any, client: socket.socket) -> None:
        self._body, self._client = body, client
        self.requested = False

    def read(self, size: int | None = None) -> bytes:
        """Return at most `size` bytes; ask for the body first."""
        if not self.requested:
            self.requested = True
            self._client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        data: bytes = self._body.read(size)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)


class Logger(GunicornLogger):  # type: ignore[misc]
    """Logger for `gunicorn --logger-class web.server.Logger`."""

    def setup(self, cfg: Any) -> None:
        """Send gunicorn's error log to the process's own log."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        logs.configure()


def write_problem(client: socket.socket, status: int, reason: str, detail: str) -> None:
    """Write a problem document to the connection, which is closed then: where the next request begins is unknown."""
    title = HTTPStatus(status).phrase
    body = json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail or reason})
    head = (
        f"HTTP/1.1 {status} {title}\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    util.write_nonblock(client, (head + body).encode("latin-1"))
