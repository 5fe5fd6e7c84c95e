"""A probe that runs every command that Darkroom needs, on keys that expire: a user's ACL may lack one."""

from __future__ import annotations

from collections.abc import Sequence

from shared.redis.connection import Client

_STRING, _HASH, _LIST, _SET, _SORTED = KEYS = tuple(
    f"darkroom:probe:{kind}" for kind in ("string", "hash", "list", "set", "sorted")
)
Calls = Sequence[Sequence[str | int]]

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
    ("EVAL", "return 1", 0),
    ("SCRIPT", "EXISTS", "0" * 40),
)
#: Calls of Celery's transport.
BROKER_CALLS: Calls = (
    ("LPUSH", _LIST, "a", "b"),
    ("LLEN", _LIST),
    ("BRPOP", _LIST, 1),
    ("SADD", _SET, "a"),
    ("SMEMBERS", _SET),
    ("HSET", _HASH, "a", 1),
    ("HGET", _HASH, "a"),
    ("HDEL", _HASH, "b"),
    ("ZADD", _SORTED, 1, "a"),
    ("ZREVRANGEBYSCORE", _SORTED, 1, 0),
    ("ZREM", _SORTED, "b"),
)


def probe(client: Client, calls: Calls) -> None:
    """Run the calls in one transaction. Raise the error of the first that Redis refuses."""
    pipeline = client.pipeline()
    for call in calls:
        pipeline.execute_command(*call)
    pipeline.expire(KEYS[0], 1)
    pipeline.delete(*KEYS)
    pipeline.unlink(*KEYS)
    pipeline.execute()
