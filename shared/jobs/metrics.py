"""Counters and histograms for `/metrics`, in Redis, so that they cover every process on every machine.

The Lua scripts count items, jobs and rare events atomically with them. Processes add up the durations of stages and
their requests to the storage. Workers flush them with each heartbeat, and every process FLUSH_S after a request. One
that is killed loses what it has not flushed.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from shared.domain.errors import Unavailable
from shared.redis import keys
from shared.redis.connection import Client, redis_errors

#: Stages of a chunk, in order. `wait`: until its first item was claimed. `read` and `decode`: the sum over all threads.
STAGES = ("wait", "claim", "read", "decode", "forward", "commit")
#: Upper bounds of the histogram buckets, in seconds; a last bucket is unbounded.
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
#: Seconds after a request to the storage until it is counted in Redis, if there is no heartbeat before.
FLUSH_S = 5.0


@dataclass(frozen=True)
class Histogram:
    """The number of durations per bucket, of which there is one more than BUCKETS_S, and their sum in seconds."""

    counts: tuple[int, ...]
    sum_s: float


class JobMetrics:
    """Metrics in Redis, thread-safe. Those that read and `flush` raise Unavailable if Redis cannot be reached."""

    def __init__(self, client: Client, flush_s: float = FLUSH_S) -> None:
        self._redis, self._flush_s = client, flush_s
        self._lock = threading.Lock()
        self._new: defaultdict[str, float] = defaultdict(float)
        self._requests: defaultdict[str, int] = defaultdict(int)
        self._timer: threading.Timer | None = None

    def observe(self, stage: str, seconds: float) -> None:
        """Add the duration of a stage in memory, until `flush`."""
        with self._lock:
            self._new[f"{stage}:{bisect_left(BUCKETS_S, seconds)}"] += 1
            self._new[f"{stage}:sum"] += seconds

    def count_request(self, kind: str, result: str) -> None:
        """Count a request to the storage in memory, until `flush` or FLUSH_S later."""
        with self._lock:
            self._requests[f"storage:{kind}:{result}"] += 1
            if self._timer is None:
                self._timer = threading.Timer(self._flush_s, self._flush_later)
                self._timer.daemon = True
                self._timer.start()

    def _flush_later(self) -> None:
        self._timer = None
        with suppress(Unavailable):  # the next request sets a timer again
            self.flush()

    def flush(self) -> None:
        """Add what was observed and counted to Redis, or keep it if that fails."""
        with self._lock:
            new, self._new = self._new, defaultdict(float)
            requests, self._requests = self._requests, defaultdict(int)
        try:
            self._add(new, requests)
        except Exception:
            with self._lock:
                for name, value in new.items():
                    self._new[name] += value
                for name, count in requests.items():
                    self._requests[name] += count
            raise

    @redis_errors()
    def counters(self) -> dict[str, int]:
        """Return the counters by name: `items:…`, `jobs:…`, `attempts:…`, `storage:…` and those of rare events."""
        return {name: int(count) for name, count in self._redis.hgetall(keys.COUNTERS).items()}

    @redis_errors()
    def stages(self) -> dict[str, Histogram]:
        """Return the histogram of each stage's durations over all workers."""
        sums = self._redis.hgetall(keys.STAGES)
        return {stage: _histogram(stage, sums) for stage in STAGES}

    @redis_errors()
    def _add(self, new: Mapping[str, float], requests: Mapping[str, int]) -> None:
        pipeline = self._redis.pipeline()
        for name, value in new.items():
            pipeline.hincrbyfloat(keys.STAGES, name, value)
        for name, count in requests.items():
            pipeline.hincrby(keys.COUNTERS, name, count)
        pipeline.execute()


def _histogram(stage: str, sums: Mapping[str, str]) -> Histogram:
    counts = tuple(int(float(sums.get(f"{stage}:{bucket}", 0))) for bucket in range(len(BUCKETS_S) + 1))
    return Histogram(counts, float(sums.get(f"{stage}:sum", 0)))
