"""The service that a command talks to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cli.client import Client
from cli.client.client import RETRY_S
from cli.terminal.exits import errors_end_it


@contextmanager
def connected(timeout_s: float | None = None) -> Iterator[Client]:
    """A client of the service at DARKROOM_URL, which answers; errors within end the program with their code.

    No call is repeated for longer than `timeout_s`.
    """
    with errors_end_it(), Client(retry_s=RETRY_S if timeout_s is None else min(RETRY_S, timeout_s)) as client:
        client.ping()
        yield client
