"""What gunicorn is told: its worker, which answers a malformed request with a problem document, and its log."""

from __future__ import annotations

import json
import socket
from typing import Any

from gunicorn import util
from gunicorn.glogging import Logger as GunicornLogger
from gunicorn.workers.gthread import ThreadWorker

from shared import logs


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """What `gunicorn --worker-class web.server.Worker` runs."""

    def init_process(self) -> None:
        """Replace gunicorn's HTML error page, for which it has no setting, in this process."""
        util.write_error = write_problem
        super().init_process()


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
