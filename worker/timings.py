"""Timings of the stages of one chunk, or of several that are processed together."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from shared.jobs.metrics import JobMetrics


class Timings:
    """Seconds by stage (see `shared.jobs.metrics.STAGES`). Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.seconds: dict[str, float] = {}

    def add(self, stage: str, seconds: float) -> None:
        """Add `seconds` to a stage."""
        with self._lock:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    @contextmanager
    def timing(self, stage: str) -> Iterator[None]:
        """Add the duration of the block to a stage, even if the block raises."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - began)

    def report(self, metrics: JobMetrics) -> dict[str, float]:
        """Add the timings since the last report to the metrics; return them as fields of a log line, `<stage>_s`."""
        with self._lock:
            seconds, self.seconds = self.seconds, {}
        for stage, value in seconds.items():
            metrics.observe(stage, value)
        return {f"{stage}_s": round(value, 6) for stage, value in seconds.items()}
