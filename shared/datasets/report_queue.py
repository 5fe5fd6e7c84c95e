"""The queue of reports to compute: `web` asks for one, a training worker computes it under a lease."""

from __future__ import annotations

from shared.redis import keys
from shared.redis.connection import Client, Scripts, now_ms, redis_errors

#: Seconds without renewal after which another worker may compute a report.
LEASE_S = 30


class ReportQueue:
    """Reports that are waited for, each Dataset's once. Every method raises Unavailable."""

    def __init__(self, client: Client) -> None:
        self._redis = client
        self._scripts = Scripts(client)

    @redis_errors()
    def ask(self, dataset: str) -> bool:
        """Ask for the report on a Dataset. Return False if it is waited for or being computed already."""
        return bool(self._redis.zadd(keys.REPORTS, {dataset: now_ms(self._redis)}, nx=True))

    @redis_errors()
    def is_due(self) -> bool:
        """Return whether a report waits for a worker."""
        return bool(self._redis.zcount(keys.REPORTS, "-inf", now_ms(self._redis)))

    @redis_errors()
    def claim(self) -> tuple[str, int] | None:
        """Return the Dataset whose report has waited longest and how often it was claimed, or None."""
        answer = self._scripts.run("claim_report", LEASE_S * 1000)
        return (str(answer[0]), int(answer[1])) if answer else None

    @redis_errors()
    def renew(self, dataset: str) -> None:
        """Renew the lease."""
        self._redis.zadd(keys.REPORTS, {dataset: now_ms(self._redis) + LEASE_S * 1000}, xx=True)

    @redis_errors()
    def give_back(self, dataset: str) -> None:
        """Let another worker compute the report, as if it had not been claimed. It is due when the lease expires."""
        self._redis.hincrby(keys.REPORT_CLAIMS, dataset, -1)

    @redis_errors()
    def finish(self, dataset: str) -> None:
        """Remove the report from the queue."""
        self._redis.hdel(keys.REPORT_CLAIMS, dataset)
        self._redis.zrem(keys.REPORTS, dataset)
