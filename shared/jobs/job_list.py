"""The list of jobs, newest first, in pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shared.domain.entities import Job
from shared.jobs.cursors import decode_cursor, encode_cursor, invalid_cursor
from shared.jobs.records import read_job
from shared.redis import keys
from shared.redis.connection import Client, redis_errors

#: Jobs that are read in one round trip while a list is filtered.
READ_BATCH = 200


class JobList:
    """Listed jobs. Every method raises Unavailable if Redis cannot be reached."""

    def __init__(self, client: Client) -> None:
        self._redis = client

    @redis_errors()
    def page(
        self,
        limit: int,
        *,
        owner: str | None = None,
        kind: str | None = None,
        state: str | None = None,
        after: str | None = None,
    ) -> tuple[list[Job], str | None]:
        """Return at most `limit` jobs, newest first, and the cursor of the next page or None. Raise InvalidRequest.

        The cost for one owner does not depend on how many jobs others have; None stands for all owners.
        """
        jobs: list[Job] = []
        for job in self._newest_first(keys.jobs_of(owner), after):
            if (kind and job.kind != kind) or (state and job.state != state):
                continue
            if len(jobs) == limit:
                return jobs, encode_cursor("job", f"{round(jobs[-1].created_at * 1000)} {jobs[-1].id}")
            jobs.append(job)
        return jobs, None

    def _newest_first(self, listed: str, after: str | None) -> Iterator[Job]:
        start = 0 if after is None else self._rank_after(listed, decode_cursor("job", after, str))
        while ids := self._redis.zrevrange(listed, start, start + READ_BATCH - 1):
            yield from (job for job in read_jobs(self._redis, ids) if job is not None)
            start += READ_BATCH

    def _rank_after(self, listed: str, position: str) -> int:
        """Return the rank after a position `<created_ms> <job>`, whose job may have been deleted since."""
        created_ms, _, job_id = position.partition(" ")
        if not created_ms.isdecimal():
            raise invalid_cursor()
        same_moment: list[str] = self._redis.zrangebyscore(listed, created_ms, created_ms)
        newer = int(self._redis.zcount(listed, f"({created_ms}", "+inf"))
        return newer + sum(other >= job_id for other in same_moment)


def read_jobs(client: Client, ids: Sequence[str]) -> list[Job | None]:
    """Return the jobs with these ids in one round trip, without their queue positions; None for one that is gone."""
    pipeline = client.pipeline(transaction=False)
    for job_id in ids:
        pipeline.hgetall(keys.job(job_id))
    return [
        read_job(job_id, record) if record else None for job_id, record in zip(ids, pipeline.execute(), strict=True)
    ]
