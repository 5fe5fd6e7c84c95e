"""Connection of a command to the service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cli.client import Client
from cli.client.client import RETRY_S
from cli.terminal.exit_codes import exit_on_error


@contextmanager
def connect(timeout_s: float | None = None) -> Iterator[Client]:
    """Yield a client of the service at DARKROOM_URL; errors in the block end the program with an exit code.

    No call is retried for longer than `timeout_s`.
    """
    with exit_on_error(), Client(retry_s=RETRY_S if timeout_s is None else min(RETRY_S, timeout_s)) as client:
        client.ping()
        yield client
