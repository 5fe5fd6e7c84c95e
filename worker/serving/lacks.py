"""What a worker process cannot get, so that it leaves work that needs it to others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from shared.jobs.workers import Lack

#: Seconds before the process tries again to get something.
RETRY_S = 30.0


class Lacks:
    """What this process lacks: model versions, the training data, the shared storage. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._lacks: dict[str, Lack] = {}
        self._tried_at: dict[str, float] = {}

    def add(self, what: str, reason: str) -> None:
        """Record that the process has just failed to get something."""
        with self._lock:
            since = self._lacks[what].since if what in self._lacks else time.time()
            self._lacks[what] = Lack(what, reason, since)
            self._tried_at[what] = self._clock()

    def remove(self, what: str) -> None:
        """Record that the process has it now."""
        with self._lock:
            self._lacks.pop(what, None)

    def all(self) -> tuple[Lack, ...]:
        """Return what is lacking, for people and for other workers."""
        with self._lock:
            return tuple(self._lacks.values())

    def untried(self) -> list[str]:
        """Return what is lacking and is not to be tried again yet."""
        with self._lock:
            now = self._clock()
            return [what for what in self._lacks if now - self._tried_at[what] < RETRY_S]
