"""A queue of work on demand: `web` asks for it, a worker does it under a lease."""

from __future__ import annotations

from shared.redis.connection import Client, Scripts, due, now_ms, redis_errors

#: Seconds without renewal after which another worker may do the work.
LEASE_S = 30


class WorkQueue:
    """Work that is waited for, each piece once, by its name. Every method raises Unavailable.

    A sorted set has each piece by the time from which a worker may claim it (ms): the end of the lease of one that is
    being done. A hash has the number of its claims.
    """

    def __init__(self, client: Client, key: str) -> None:
        """`key` is that of the sorted set; the hash is `<key>:claims`."""
        self._redis, self._waiting, self._claims = client, key, f"{key}:claims"
        self._scripts = Scripts(client)

    @redis_errors()
    def ask(self, work: str) -> bool:
        """Ask for some work. Return False if it is waited for or being done already."""
        return bool(self._redis.zadd(self._waiting, {work: now_ms(self._redis)}, nx=True))

    @redis_errors()
    def is_due(self) -> bool:
        """Return whether some work waits for a worker."""
        return bool(due(self._redis, self._waiting, 1))

    @redis_errors()
    def count(self) -> int:
        """Return how many pieces of work are waited for or being done."""
        return int(self._redis.zcard(self._waiting))

    @redis_errors()
    def claim(self) -> tuple[str, int] | None:
        """Return the work that has waited longest and how often it was claimed, or None."""
        answer = self._scripts.run("claim_work", self._waiting, LEASE_S * 1000)
        return (str(answer[0]), int(answer[1])) if answer else None

    @redis_errors()
    def renew(self, work: str) -> None:
        """Renew the lease."""
        self._redis.zadd(self._waiting, {work: now_ms(self._redis) + LEASE_S * 1000}, xx=True)

    @redis_errors()
    def give_back(self, work: str) -> None:
        """Let another worker do the work, as if it had not been claimed. It is due when the lease expires."""
        self._redis.hincrby(self._claims, work, -1)

    @redis_errors()
    def finish(self, work: str) -> None:
        """Remove the work from the queue."""
        self._redis.hdel(self._claims, work)
        self._redis.zrem(self._waiting, work)
