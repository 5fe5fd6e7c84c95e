"""Timings of the stages of one chunk."""

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
        """Add the timings to the metrics and return them as fields of a log line, `<stage>_s`."""
        for stage, seconds in self.seconds.items():
            metrics.observe(stage, seconds)
        return {f"{stage}_s": round(seconds, 6) for stage, seconds in self.seconds.items()}
