"""Progress on stderr, where that is a terminal; nothing where it is none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class Progress(Protocol):
    """What is told while something goes on."""

    def sending(self, items: int, size: int) -> None:
        """So many pictures, and bytes, are with the service."""

    def watching(self, job: dict[str, Any]) -> None:
        """The Job as it is now."""


class Silent:
    """Where nobody looks."""

    def sending(self, items: int, size: int) -> None:
        """Say nothing."""

    def watching(self, job: dict[str, Any]) -> None:
        """Say nothing."""


@contextmanager
def shown(wanted: bool = True) -> Iterator[Progress]:
    """Show progress until the block ends, where it is wanted and stderr is a terminal; then take it away again."""
    if not (wanted and sys.stderr.isatty()):
        yield Silent()
        return
    from cli.terminal.progress_bar import ProgressBar  # noqa: PLC0415 - rich takes 70 ms to load, for nothing where nobody looks

    with ProgressBar() as bar:
        yield bar
