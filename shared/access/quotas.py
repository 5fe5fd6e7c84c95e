"""Hourly quotas of each key, or of each address without a key. Redis counts for all web processes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from limits import RateLimitItemPerHour
from limits.storage import RedisStorage
from limits.strategies import FixedWindowRateLimiter

from shared.domain.errors import TooLarge, TooManyRequests
from shared.redis.connection import Client, redis_errors

HOUR_S = 3600
#: Prefix of the counters' keys in Redis.
PREFIX = "darkroom:quota"


class QuotaKind(StrEnum):
    """A limited quantity."""

    REQUESTS = "requests"
    BYTES = "bytes"
    ITEMS = "items"


@dataclass(frozen=True)
class Quota:
    """The state of one quota; `reset_s` is the seconds until its window ends."""

    kind: QuotaKind
    limit: int
    remaining: int
    reset_s: int


class Quotas:
    """Fixed windows of an hour. A window begins with the first charge in it."""

    def __init__(self, client: Client, hourly: Mapping[QuotaKind, int]) -> None:
        """`hourly` is the limit of each kind for one caller."""
        # The address is not used: the storage shares the connections of `client`.
        storage = RedisStorage("redis://", connection_pool=client.connection_pool, key_prefix=PREFIX)
        self._limiter = FixedWindowRateLimiter(storage)
        self._limits = {kind: RateLimitItemPerHour(limit, namespace=kind) for kind, limit in hourly.items()}

    @redis_errors()
    def charge(self, kind: QuotaKind, caller: str, amount: int = 1) -> Quota:
        """Charge `amount` to `caller` and return the state of the quota.

        Raises TooManyRequests, and charges nothing, if the amount exceeds what remains; TooLarge if it exceeds the
        limit; Unavailable.
        """
        limit = self._limits[kind]
        if amount > limit.amount:
            raise TooLarge(f"{amount} {kind} at once exceed the hourly quota of {limit.amount}")
        fits = self._limiter.test(limit, caller, cost=amount) and self._limiter.hit(limit, caller, cost=amount)
        reset_at, remaining = self._limiter.get_window_stats(limit, caller)
        quota = Quota(kind, limit.amount, remaining, max(1, round(reset_at - time.time())))
        if not fits:
            raise TooManyRequests(f"the hourly quota of {limit.amount} {kind} is used up", quota.reset_s)
        return quota
