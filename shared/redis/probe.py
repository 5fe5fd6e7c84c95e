"""A probe that runs every command that Darkroom needs, on keys that expire: a user's ACL may lack one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from shared.domain.entities import Queue
from shared.redis.connection import Client

_STRING, _HASH, _LIST, _SET, _SORTED = KEYS = tuple(
    f"darkroom:probe:{kind}" for kind in ("string", "hash", "list", "set", "sorted")
)
#: The key that a probe watches, and none writes: several may run at the same time.
_WATCHED = f"{_STRING}:watched"
Calls = Sequence[Sequence[str | int]]
_SCRIPT = "return 1"
_SCRIPT_NAME = hashlib.sha1(_SCRIPT.encode()).hexdigest()  # noqa: S324 - Redis names scripts so
#: Calls of both clients.
_COMMON: Calls = (
    ("PING",),
    ("EVAL", _SCRIPT, 0),
    ("SCRIPT", "EXISTS", _SCRIPT_NAME),
    ("SCRIPT", "LOAD", _SCRIPT),
    ("EVALSHA", _SCRIPT_NAME, 0),
)

#: Calls of the job store: those of the scripts, then those of Python.
JOB_STORE_CALLS: Calls = (
    ("SET", _STRING, 1),
    ("INCRBY", _STRING, 1),
    ("EXISTS", _STRING),
    ("HSET", _HASH, "a", 1),
    ("HSETNX", _HASH, "a", 1),
    ("HGET", _HASH, "a"),
    ("HMGET", _HASH, "a"),
    ("HGETALL", _HASH),
    ("HEXISTS", _HASH, "a"),
    ("HLEN", _HASH),
    ("HINCRBY", _HASH, "a", 1),
    ("HDEL", _HASH, "b"),
    ("LPUSH", _LIST, "a"),
    ("RPUSH", _LIST, "a"),
    ("LINDEX", _LIST, 0),
    ("LLEN", _LIST),
    ("LTRIM", _LIST, 0, -1),
    ("LPOP", _LIST),
    ("BLPOP", _LIST, 1),
    ("SADD", _SET, "a", "b"),
    ("SCARD", _SET),
    ("SREM", _SET, "b"),
    ("SPOP", _SET),
    ("ZADD", _SORTED, 1, "a"),
    ("ZCARD", _SORTED),
    ("ZRANGE", _SORTED, 0, -1),
    ("ZRANGEBYSCORE", _SORTED, 0, 1),
    ("ZREM", _SORTED, "b"),
    ("TIME",),
    ("GET", _STRING),
    ("MGET", _STRING),
    ("HINCRBYFLOAT", _HASH, "a", 1),
    ("HSCAN", _HASH, 0),
    ("LRANGE", _LIST, 0, -1),
    ("SMEMBERS", _SET),
    ("ZCOUNT", _SORTED, 0, 1),
    ("ZRANK", _SORTED, "a"),
    ("ZREVRANGE", _SORTED, 0, -1),
    ("ZREVRANGEBYSCORE", _SORTED, 1, 0),
    ("ZSCORE", _SORTED, "a"),
    ("ZREMRANGEBYRANK", _SORTED, 0, 0),
    ("INFO", "memory"),
    *_COMMON,
)
#: Commands that notify waiting threads of the end of a job. These also poll, so a user may lack the commands.
NOTICES = {"PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE"}
#: Calls of Celery's transport, whose own keys have no common beginning.
BROKER_CALLS: Calls = (
    ("SET", _STRING, 1, "NX"),
    ("GET", _STRING),
    ("PEXPIRE", _STRING, 1000),
    ("RPUSH", _LIST, "a", "b"),
    ("RPOP", _LIST),
    ("LPUSH", _LIST, "a", "b"),
    ("LLEN", _LIST),
    ("BRPOP", _LIST, 1),
    ("SADD", _SET, "a"),
    ("SMEMBERS", _SET),
    ("HSET", _HASH, "a", 1),
    ("HGET", _HASH, "a"),
    ("HDEL", _HASH, "b"),
    ("ZADD", _SORTED, 1, "a"),
    ("ZRANGE", _SORTED, 0, -1),
    ("ZREVRANGEBYSCORE", _SORTED, 1, 0),
    ("ZREM", _SORTED, "b"),
    *_COMMON,
    ("EXISTS", *Queue, "unacked", "unacked_index", "unacked_mutex", *(f"_kombu.binding.{name}" for name in Queue)),
)


def probe(client: Client, calls: Calls) -> None:
    """Run the calls in one transaction. Raise the error of the first that Redis refuses."""
    with client.pipeline() as pipeline:
        pipeline.watch(_WATCHED)
        pipeline.multi()
        for call in calls:
            pipeline.execute_command(*call)
        pipeline.expire(KEYS[0], 1)
        pipeline.delete(*KEYS)
        pipeline.unlink(*KEYS)
        pipeline.execute()
