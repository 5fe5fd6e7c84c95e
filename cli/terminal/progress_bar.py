"""A progress bar on a terminal."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

MIB = 1024 * 1024
#: Pictures per second from which a rate is shown without decimals.
WHOLE = 10


class ProgressBar:
    """Progress of an upload, then of its job: `Classifying ━━━━━━━  1,234 of 20,000, 120/s, 12 s left`."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[text]}"))
        # Without redirect_stdout=False rich would write stdout's lines to stderr.
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False)
        self._task = self._bar.add_task("Starting", total=None, text="")
        self._started = time.monotonic()
        self._first: tuple[float, int] | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def on_sent(self, items: int, size: int) -> None:
        """Show the number of items uploaded, and of bytes."""
        rate = _per_second(items / max(time.monotonic() - self._started, 1e-3))
        self._bar.update(self._task, description="Sending", text=f"{items:,} pictures, {size / MIB:,.0f} MiB, {rate}")

    def on_job(self, job: dict[str, Any]) -> None:
        """Show the state of the Job."""
        self._bar.update(
            self._task,
            description=describe_state(job),
            total=1.0,
            completed=job["progress"],
            text=describe_progress(job, self._rate(job)),
        )

    def _rate(self, job: dict[str, Any]) -> float | None:
        """Return the pictures per second since this bar first saw the job; None before there are any."""
        now, finished = time.monotonic(), _finished(job)
        began, before = self._first = self._first or (now, finished)
        return (finished - before) / (now - began) if finished > before else None


def describe_state(job: dict[str, Any]) -> str:
    """Return the state of the job in one word."""
    if job["state"] != "running":
        return str(job["state"]).capitalize()
    return {"training": "Training", "import": "Importing"}.get(job["kind"], "Classifying")


def describe_progress(job: dict[str, Any], rate: float | None = None) -> str:
    """Return counts, place in the queue, rate in pictures per second and time left, as far as they are known."""
    counts, finished = job["counts"], _finished(job)
    parts = [f"{finished:,} of {counts['total']:,}" if counts["total"] else f"{job['progress']:.0%}"]
    if counts["failed"]:
        parts.append(f"{counts['failed']:,} failed")
    if job["queue_position"]:
        parts.append(f"place {job['queue_position']} in the queue")
    if rate:
        parts.append(_per_second(rate))
    if job["eta_s"] is not None:
        parts.append(f"{job['eta_s']:,} s left")
    return ", ".join(parts)


def _per_second(rate: float) -> str:
    return f"{rate:,.0f}/s" if rate >= WHOLE else f"{rate:.1f}/s"


def _finished(job: dict[str, Any]) -> int:
    counts = job["counts"]
    return int(counts["succeeded"] + counts["failed"] + counts["cancelled"])
