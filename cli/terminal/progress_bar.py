"""A progress bar on a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

MIB = 1024 * 1024


class ProgressBar:
    """What is sent, then how far the job is: `Classifying ━━━━━━━  1,234 of 20,000, 12 s left`."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[text]}"))
        # stdout is left alone: rich would send what is written there to stderr.
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False)
        self._task = self._bar.add_task("Starting", total=None, text="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def sending(self, items: int, size: int) -> None:
        """So many pictures, and bytes, are with the service."""
        text = f"{items:,} pictures, {size / MIB:,.0f} MiB"
        self._bar.update(self._task, description="Sending", text=text)

    def watching(self, job: dict[str, Any]) -> None:
        """The Job as it is now."""
        self._bar.update(self._task, description=doing(job), total=1.0, completed=job["progress"], text=text_of(job))


def doing(job: dict[str, Any]) -> str:
    """What happens to the job just now, in a word."""
    if job["state"] != "running":
        return str(job["state"]).capitalize()
    return "Training" if job["kind"] == "training" else "Classifying"


def text_of(job: dict[str, Any]) -> str:
    """How far it is."""
    counts = job["counts"]
    ended = counts["succeeded"] + counts["failed"] + counts["cancelled"]
    parts = [f"{ended:,} of {counts['total']:,}" if counts["total"] else f"{job['progress']:.0%}"]
    if counts["failed"]:
        parts.append(f"{counts['failed']:,} failed")
    if job["queue_position"]:
        parts.append(f"place {job['queue_position']} in the queue")
    if job["eta_s"] is not None:
        parts.append(f"{job['eta_s']:,} s left")
    return ", ".join(parts)
