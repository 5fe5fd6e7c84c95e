"""The connection to Redis: timeouts, error translation and the Lua scripts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import redis
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.retry import Retry
from redis.sentinel import SentinelConnectionPool

from shared.domain.entities import INTERACTIVE_ITEMS
from shared.domain.errors import Unavailable
from shared.redis import sentinels
from shared.redis.refusals import meaning
from shared.redis.urls import primary

#: Timeouts in seconds. Together they stay below the 5 s within which the API must respond.
CONNECT_TIMEOUT_S, RESPONSE_TIMEOUT_S = 1.0, 2.0
#: One immediate retry, for pooled connections that a restart of Redis has closed. Every script is idempotent.
#: Timeouts are not retried: connecting retries too, and four timeouts would exceed 5 s.
RETRIES = 1
#: Idle seconds after which a pooled connection is checked before use.
HEALTH_CHECK_S = 25

#: Schema versions of job records. A worker leaves jobs of a newer version to newer workers. Jobs with a dataset need
#: the second version, jobs with packs the third, the others only the first.
FIRST_SCHEMA, WITH_DATASET, WITH_PACKS = 1, 2, 3
SCHEMA = WITH_PACKS

#: Time after the last added item until an open job expires, in ms: long enough to resume an upload the next day.
OPEN_TTL_MS = 24 * 3600 * 1000

#: Deliveries per job and attempts per delivery that are kept. Retries and redeliveries are unlimited.
KEPT_DELIVERIES, KEPT_ATTEMPTS = 20, 50

#: The names of Redis's two databases in errors.
JOB_STORE, BROKER = "the job store (Redis)", "the queue (Redis)"

SCRIPTS = Path(__file__).parent / "scripts"
#: Lua definitions of the constants that the scripts share with Python.
CONSTANTS = (
    f"local INTERACTIVE_ITEMS, OPEN_TTL_MS, SCHEMA = {INTERACTIVE_ITEMS}, {OPEN_TTL_MS}, {SCHEMA}\n"
    f"local KEPT_DELIVERIES, KEPT_ATTEMPTS = {KEPT_DELIVERIES}, {KEPT_ATTEMPTS}\n"
)

#: redis-py's type hints ignore `decode_responses=True`, with which all responses are str.
Client: TypeAlias = Any


def connect(url: str) -> Client:
    """Return a client for `url`, which connects on first use."""
    words: dict[str, Any] = {
        "decode_responses": True,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_timeout": RESPONSE_TIMEOUT_S,
        "socket_keepalive": True,
        "health_check_interval": HEALTH_CHECK_S,
        "retry": Retry(NoBackoff(), RETRIES, supported_errors=(redis.ConnectionError,)),
    }
    named = primary(url)
    return sentinels.client(named, **words) if named else redis.Redis.from_url(url, **words)


def undecoded(client: Client) -> Client:
    """Return a client of the same server whose responses are bytes, for records that are not text."""
    pool = client.connection_pool
    if isinstance(pool, SentinelConnectionPool):
        return redis.Redis.from_pool(sentinels.same_primary(pool, decode_responses=False))
    words = pool.connection_kwargs | {"decode_responses": False}
    return redis.Redis.from_pool(redis.ConnectionPool(pool.connection_class, pool.max_connections, **words))


@contextmanager
def redis_errors(part: str = JOB_STORE) -> Iterator[None]:
    """Translate every error of redis-py to Unavailable, with its meaning for `part`. Also a decorator."""
    try:
        yield
    except redis.RedisError as error:
        raise Unavailable(f"{part} {meaning(error)}") from error


def now_ms(client: Client) -> int:
    """Return the time of Redis's clock, in ms since the epoch. Leases and expiries use no other clock."""
    seconds, microseconds = client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


def due(client: Client, key: str, limit: int) -> list[str]:
    """Return at most `limit` members of a sorted set whose time, their score in ms, has come, the earliest first.

    Programs ask this each second. An empty set costs one command, without one for the time.
    """
    earliest = client.zrange(key, 0, limit - 1, withscores=True)
    now = now_ms(client) if earliest else 0
    return [member for member, at in earliest if at <= now]


@cache
def script_texts() -> dict[str, str]:
    """Return the Lua scripts by name, each with the prelude, those of datasets with theirs, too; they are read once."""
    prelude = CONSTANTS + (SCRIPTS / "prelude.lua").read_text()
    preludes = {True: prelude + (SCRIPTS / "dataset_prelude.lua").read_text(), False: prelude}
    return {
        path.stem: preludes[path.stem.startswith("dataset_")] + path.read_text()
        for path in SCRIPTS.glob("*.lua")
        if not path.stem.endswith("prelude")
    }


class Scripts:
    """The Lua scripts in `scripts/`, on one client."""

    def __init__(self, client: Client) -> None:
        self._client, self._texts = client, script_texts()
        self._scripts: dict[str, Script] = {}

    def run(self, name: str, *args: str | int | float | bytes) -> Any:
        """Run the script `name` and return its result, which the comment at its top describes."""
        return self.script(name)(args=list(args))

    def script(self, name: str) -> Script:
        """Return the script `name`, which is sent to Redis when it is run."""
        if name not in self._scripts:
            self._scripts[name] = self._client.register_script(self._texts[name])
        return self._scripts[name]
