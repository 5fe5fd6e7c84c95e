"""How much each key, or address without one, may ask for in an hour; counted in Redis for all web processes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from limits import RateLimitItemPerHour
from limits.storage import RedisStorage
from limits.strategies import FixedWindowRateLimiter

from shared.domain.errors import TooLarge, TooManyRequests
from shared.redis.connection import Client, translated

HOUR_S = 3600
#: What the names of the counters begin with.
PREFIX = "darkroom:quota"


class Counted(StrEnum):
    """What is counted."""

    REQUESTS = "requests"
    BYTES = "bytes"
    ITEMS = "items"


@dataclass(frozen=True)
class Quota:
    """What is left of one; `reset_s` is the seconds until all of it is there again."""

    counted: Counted
    most: int
    left: int
    reset_s: int


class Quotas:
    """Counts. The hour of a counter begins with what is counted first in it."""

    def __init__(self, client: Client, hourly: Mapping[Counted, int]) -> None:
        """`hourly` is how much of each a caller may have in an hour."""
        # Nothing is asked of this address: the connections are those of the client.
        storage = RedisStorage("redis://", connection_pool=client.connection_pool, key_prefix=PREFIX)
        self._limiter = FixedWindowRateLimiter(storage)
        self._limits = {counted: RateLimitItemPerHour(most, namespace=counted) for counted, most in hourly.items()}

    @translated
    def charge(self, counted: Counted, who: str, amount: int = 1) -> Quota:
        """Count so much for `who`, and say what is left.

        Raises TooManyRequests where it is more than is left, and counts nothing then; TooLarge where it is more than
        anybody ever has; Unavailable.
        """
        limit = self._limits[counted]
        if amount > limit.amount:
            raise TooLarge(f"{amount} {counted} at once are more than the {limit.amount} that a key has in an hour")
        fits = self._limiter.test(limit, who, cost=amount) and self._limiter.hit(limit, who, cost=amount)
        reset_at, left = self._limiter.get_window_stats(limit, who)
        quota = Quota(counted, limit.amount, left, max(1, round(reset_at - time.time())))
        if not fits:
            raise TooManyRequests(f"the {limit.amount} {counted} of this hour are used up", quota.reset_s)
        return quota
