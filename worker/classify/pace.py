"""How fast a worker process works."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

#: Seconds of the past that count.
WINDOW_S = 60.0


class Pace:
    """Pictures per second over the last WINDOW_S seconds. One thread adds, another one reads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._done: deque[tuple[float, int]] = deque()

    def add(self, pictures: int) -> None:
        """Count pictures that are done now, and forget those of long ago."""
        now = self._clock()
        self._done.append((now, pictures))
        while self._done[0][0] <= now - WINDOW_S:
            self._done.popleft()

    def per_s(self) -> float:
        """Return the pictures per second."""
        since = self._clock() - WINDOW_S
        return sum(pictures for at, pictures in self._done.copy() if at > since) / WINDOW_S
