"""What is counted and timed for `/metrics`, in Redis: so the sums are those of every process on every machine.

The scripts count items, jobs and what is rare in the step that does it. Workers sum up how long the stages of their
chunks took, and add that with each of their signs of life; what a killed one had not added yet is lost.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from shared.redis import keys
from shared.redis.connection import Client, redis_errors

#: What happens to a chunk, in this order; all but `wait` in seconds of a worker.
#: `wait`: for how long its first item has waited for a worker. `read` and `decode`: of all threads together.
STAGES = ("wait", "claim", "read", "decode", "forward", "commit")
#: Upper bounds of the histogram's buckets, in seconds; one more has no bound.
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)


@dataclass(frozen=True)
class Histogram:
    """How many durations there were in each bucket, one more than BUCKETS_S, and their sum in seconds."""

    counts: tuple[int, ...]
    sum_s: float


class JobMetrics:
    """The sums. Methods raise Unavailable where Redis cannot be reached, but for `took`."""

    def __init__(self, client: Client) -> None:
        self._redis = client
        self._lock = threading.Lock()
        self._new: defaultdict[str, float] = defaultdict(float)

    def observe(self, stage: str, seconds: float) -> None:
        """Note how long a stage took, in memory."""
        with self._lock:
            self._new[f"{stage}:{bisect_left(BUCKETS_S, seconds)}"] += 1
            self._new[f"{stage}:sum"] += seconds

    def flush(self) -> None:
        """Add what was noted to the sums of all; what cannot be added now is kept."""
        with self._lock:
            new, self._new = self._new, defaultdict(float)
        try:
            self._add(new)
        except Exception:
            with self._lock:
                for name, value in new.items():
                    self._new[name] += value
            raise

    @redis_errors()
    def counters(self) -> dict[str, int]:
        """How often what the scripts count happened: `items:…`, `jobs:…`, `attempts:…`; what is rare by its name."""
        return {name: int(count) for name, count in self._redis.hgetall(keys.COUNTERS).items()}

    @redis_errors()
    def stages(self) -> dict[str, Histogram]:
        """How long each stage took, over all workers."""
        sums = self._redis.hgetall(keys.STAGES)
        return {stage: _histogram(stage, sums) for stage in STAGES}

    @redis_errors()
    def _add(self, new: Mapping[str, float]) -> None:
        pipeline = self._redis.pipeline()
        for name, value in new.items():
            pipeline.hincrbyfloat(keys.STAGES, name, value)
        pipeline.execute()


def _histogram(stage: str, sums: Mapping[str, str]) -> Histogram:
    counts = tuple(int(float(sums.get(f"{stage}:{bucket}", 0))) for bucket in range(len(BUCKETS_S) + 1))
    return Histogram(counts, float(sums.get(f"{stage}:sum", 0)))
