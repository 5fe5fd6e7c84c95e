"""Statistics of the queues: depth, age and throughput."""

from __future__ import annotations

from dataclasses import dataclass

from shared.domain.entities import Queue
from shared.redis import keys
from shared.redis.connection import Client, now_ms, redis_errors

#: Waiting jobs per queue whose items are counted; further jobs count only as jobs.
SCANNED_JOBS = 1000
#: Minutes of throughput that are kept.
HISTORY_MINUTES = 60


@dataclass(frozen=True)
class QueueState:
    """One queue.

    `jobs` and `depth` count waiting jobs and items; a waiting training counts as one item. `oldest_age_s` is the age of
    the oldest waiting job, None if the queue is empty. `per_minute` counts the items that finished in each of the last
    HISTORY_MINUTES minutes, the current one last; `rate` is items per second over about the last minute.
    """

    queue: Queue
    jobs: int
    depth: int
    oldest_age_s: float | None
    per_minute: tuple[int, ...]
    rate: float


class QueueStats:
    """Queue statistics from Redis. Every method raises Unavailable if Redis cannot be reached."""

    def __init__(self, client: Client) -> None:
        self._redis = client

    @redis_errors()
    def all(self) -> list[QueueState]:
        """Return the state of every queue."""
        now = now_ms(self._redis)
        return [self._state(queue, now) for queue in Queue]

    def _state(self, queue: Queue, now: int) -> QueueState:
        minute, into = divmod(now / 1000, 60)
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.zcard(keys.READY[queue])
        pipeline.zrange(keys.READY[queue], 0, SCANNED_JOBS - 1)
        pipeline.mget([keys.done(queue, int(minute) - ago) for ago in reversed(range(HISTORY_MINUTES))])
        jobs, ids, done = pipeline.execute()
        depth, oldest = self._depth(ids)
        per_minute = tuple(int(count or 0) for count in done)
        return QueueState(
            queue,
            jobs,
            depth,
            None if oldest is None else max(0, now - oldest) / 1000,
            per_minute,
            rate=(per_minute[-2] * (60 - into) / 60 + per_minute[-1]) / 60,
        )

    def _depth(self, ids: list[str]) -> tuple[int, int | None]:
        """Return the number of pending items of these jobs, and the oldest job's creation time (ms) or None."""
        pipeline = self._redis.pipeline(transaction=False)
        for job_id in ids:
            pipeline.llen(keys.job(job_id, "pending"))
            pipeline.hget(keys.job(job_id), "created_at")
        results = pipeline.execute() if ids else []
        return sum(results[::2]), min((int(at) for at in results[1::2] if at), default=None)
