"""Signs of life of the programs that are not workers. A worker has its heartbeat."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from shared.redis import keys
from shared.redis.connection import Client, now_ms, redis_errors

#: The programs, by their names.
RECONCILE, DELIVER = PROGRAMS = ("reconcile", "deliver")
#: Seconds after which a program is recorded again.
EVERY_S = 10.0


class Rounds:
    """When each program, on any machine, has last gone on. Every method raises Unavailable without Redis."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._redis, self._clock = client, clock
        self._recorded_at = dict.fromkeys(PROGRAMS, -math.inf)

    @redis_errors()
    def record(self, program: str) -> None:
        """Record that `program` goes on, if this was not recorded in the last EVERY_S seconds."""
        if self._clock() - self._recorded_at[program] >= EVERY_S:
            self._redis.hset(keys.ROUNDS, program, now_ms(self._redis))
            self._recorded_at[program] = self._clock()

    @redis_errors()
    def silent_s(self) -> dict[str, float]:
        """Return the seconds since each of PROGRAMS was recorded; infinity for one that never was."""
        recorded, now = self._redis.hgetall(keys.ROUNDS), now_ms(self._redis)
        return {name: max(0, now - int(recorded[name])) / 1000 if name in recorded else math.inf for name in PROGRAMS}
