"""The service that a command talks to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cli.client import Client
from cli.exits import errors_end_it


@contextmanager
def connected() -> Iterator[Client]:
    """A client of the service at DARKROOM_URL, which answers; errors within end the program with their code."""
    with errors_end_it(), Client() as client:
        client.ping()
        yield client
