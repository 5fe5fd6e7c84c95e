"""Progress on stderr, if that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class Progress(Protocol):
    """Receives progress."""

    def on_sent(self, items: int, size: int) -> None:
        """Show the number of items uploaded, and of bytes."""

    def on_job(self, job: dict[str, Any]) -> None:
        """Show the state of the Job."""


class NoProgress:
    """Shows nothing."""

    def on_sent(self, items: int, size: int) -> None:
        """Do nothing."""

    def on_job(self, job: dict[str, Any]) -> None:
        """Do nothing."""


@contextmanager
def show_progress(enabled: bool = True) -> Iterator[Progress]:
    """Show a progress bar during the block if `enabled` and stderr is a terminal; then remove it."""
    if not (enabled and sys.stderr.isatty()):
        yield NoProgress()
        return
    from cli.terminal.progress_bar import ProgressBar  # noqa: PLC0415 - rich takes 70 ms to load

    with ProgressBar() as bar:
        yield bar
