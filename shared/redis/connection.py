"""The connection to Redis: its time limits, its errors in our words, and the Lua scripts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import redis
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.retry import Retry

from shared.domain.entities import INTERACTIVE_ITEMS
from shared.domain.errors import Unavailable

#: Seconds to wait for a connection, and for an answer: together under the 5 s in which a request must be answered.
CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S = 1.0, 2.0
#: One repeat, at once: it covers a pooled connection that a restart of Redis has cut. Every script bears it.
#: A server that does not answer is not asked again: connecting repeats too, and four timeouts are more than 5 s.
RETRIES = 1
#: Seconds of silence after which a pooled connection is checked before it is used.
HEALTH_CHECK_S = 25

#: Version of the job store's records. A worker leaves a record of a newer version to workers that know it.
SCHEMA = 1

#: An open job is given up so long after its last item came: long enough to go on with an upload the next day.
OPEN_MS = 24 * 3600 * 1000

#: Deliveries of one job, and attempts at one delivery, that are kept: a job may be retried, and a delivery sent again,
#: any number of times.
KEPT_DELIVERIES, KEPT_ATTEMPTS = 20, 50

#: Answers that refuse a write for now: no memory is left, or this is a replica.
REFUSALS = (redis.exceptions.OutOfMemoryError, redis.exceptions.ReadOnlyError)

SCRIPTS = Path(__file__).parent / "scripts"
#: What the scripts have in common with the code here.
CONSTANTS = (
    f"local INTERACTIVE_ITEMS, OPEN_MS, SCHEMA = {INTERACTIVE_ITEMS}, {OPEN_MS}, {SCHEMA}\n"
    f"local KEPT_DELIVERIES, KEPT_ATTEMPTS = {KEPT_DELIVERIES}, {KEPT_ATTEMPTS}\n"
)

#: redis-py's types do not know `decode_responses=True`: with it every answer is text.
Client: TypeAlias = Any


def connect(url: str) -> Client:
    """A client for `url`; it connects when first used."""
    return redis.Redis.from_url(
        url,
        decode_responses=True,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_timeout=ANSWER_TIMEOUT_S,
        socket_keepalive=True,
        health_check_interval=HEALTH_CHECK_S,
        retry=Retry(NoBackoff(), RETRIES, supported_errors=(redis.ConnectionError,)),
    )


@contextmanager
def redis_errors() -> Iterator[None]:
    """Raise Unavailable where Redis is not there, does not answer, still loads its data, or has no memory left."""
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise Unavailable("the job store (Redis) cannot be reached") from error
    except redis.ResponseError as error:
        if isinstance(error, REFUSALS) or str(error).startswith("MISCONF"):
            raise Unavailable(f"the job store (Redis) takes no writes: {error}") from error
        raise


def now_ms(client: Client) -> int:
    """Redis's clock, in ms since the epoch: the only clock that leases and expiries are judged by."""
    seconds, microseconds = client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


class Scripts:
    """The Lua scripts beside this module, each with the prelude in front of it."""

    def __init__(self, client: Client) -> None:
        prelude = CONSTANTS + (SCRIPTS / "prelude.lua").read_text()
        self._scripts: dict[str, Script] = {
            path.stem: client.register_script(prelude + path.read_text())
            for path in SCRIPTS.glob("*.lua")
            if path.stem != "prelude"
        }

    def run(self, name: str, *args: str | int | float) -> Any:
        """Run the script `name`; the answer is as its first comment says."""
        return self._scripts[name](args=list(args))
