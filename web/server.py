"""What gunicorn is told: its worker, which answers a malformed request with a problem document; its log; its hooks.

`--config python:web.server` makes the functions here gunicorn's hooks.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import shutil
import socket
import tempfile
from typing import Any

from gunicorn import util
from gunicorn.glogging import Logger as GunicornLogger
from gunicorn.workers.gthread import ThreadWorker

from shared import logs

#: Where prometheus-client looks for the folder when it is imported, so it must be set before that.
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


def on_starting(_server: Any) -> None:
    """Make an empty folder that all processes count in, then load the modules, whose memory they share."""
    os.environ[METRICS_FOLDER] = tempfile.mkdtemp(prefix="darkroom-metrics-")
    importlib.import_module("web.app")
    gc.collect()
    gc.freeze()  # what is collected is written to, and so no longer shared


def on_exit(_server: Any) -> None:
    """Remove it."""
    shutil.rmtree(os.environ[METRICS_FOLDER], ignore_errors=True)


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """What `gunicorn --worker-class web.server.Worker` runs."""

    def init_process(self) -> None:
        """Replace gunicorn's HTML error page, for which it has no setting, in this process."""
        util.write_error = write_problem
        super().init_process()

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Let a client that waits for `100 Continue` have it when its body is first asked for.

        gunicorn gives it at once, so that the body would come also where the request is refused. Where it never came,
        the connection cannot be used again.
        """
        if not req._expected_100_continue:
            return super().handle_request(req, conn)
        req._expected_100_continue = False
        req.body = body = InvitedBody(req.body, conn.sock)
        return super().handle_request(req, conn) and body.invited


class InvitedBody:
    """A body that the client sends when it is told to (RFC 9110, 10.1.1)."""

    def __init__(self, body: Any, client: socket.socket) -> None:
        self._body, self._client = body, client
        self.invited = False

    def read(self, size: int | None = None) -> bytes:
        """At most `size` bytes."""
        if not self.invited:
            self.invited = True
            self._client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        data: bytes = self._body.read(size)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)


class Logger(GunicornLogger):  # type: ignore[misc]
    """What `gunicorn --logger-class web.server.Logger` writes with: the log of the whole process."""

    def setup(self, cfg: Any) -> None:
        """Hand gunicorn's own lines on."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        logs.configure()


def write_problem(client: socket.socket, status: int, reason: str, detail: str) -> None:
    """Answer on the connection itself and let it be closed: what follows a malformed request has no known start."""
    body = json.dumps({"type": "about:blank", "title": reason, "status": status, "detail": detail or reason})
    head = (
        f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    util.write_nonblock(client, (head + body).encode("latin-1"))
