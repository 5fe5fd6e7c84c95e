"""What Darkroom needs of a Redis server: its commands, and a configuration that loses nothing."""

from __future__ import annotations

import hashlib
from typing import Any

from shared.domain.entities import Queue
from shared.redis.connection import BROKER, JOB_STORE, Client, redis_errors

#: A key that exists only inside the transaction that checks the commands.
KEY = "darkroom:probe"
SCRIPT = "return 1"
SCRIPT_NAME = hashlib.sha1(SCRIPT.encode()).hexdigest()  # noqa: S324 - Redis names scripts so
Commands = tuple[tuple[Any, ...], ...]

#: What kombu needs, in an order in which each command finds a key of its type.
BROKER_COMMANDS: Commands = (
    ("PING",),
    ("EXISTS", *Queue, "unacked", "unacked_index", "unacked_mutex", *(f"_kombu.binding.{name}" for name in Queue)),
    *(("LPUSH", KEY, 1), ("RPUSH", KEY, 1), ("LLEN", KEY), ("RPOP", KEY), ("BRPOP", KEY, 1)),
    *(("SADD", KEY, 1), ("SMEMBERS", KEY), ("SREM", KEY, 1)),
    *(("HSET", KEY, "a", 1), ("HGET", KEY, "a"), ("HDEL", KEY, "a")),
    *(("ZADD", KEY, 1, "a"), ("ZRANGE", KEY, 0, 1), ("ZREVRANGEBYSCORE", KEY, 2, 0), ("ZREM", KEY, "a")),
    *(("SET", KEY, 1, "NX"), ("GET", KEY), ("PEXPIRE", KEY, 1000), ("DEL", KEY)),
    *(
        ("EVAL", SCRIPT, 0),
        ("SCRIPT", "EXISTS", "0" * 40),
        ("SCRIPT", "LOAD", SCRIPT),
        ("EVALSHA", SCRIPT_NAME, 0),
    ),
)
#: What the job store and its scripts need in addition.
STORE_COMMANDS: Commands = (
    *(("TIME",), ("INFO", "memory")),
    *(("RPUSH", KEY, 1, 2), ("LRANGE", KEY, 0, 1), ("LINDEX", KEY, 0), ("LTRIM", KEY, 0, 1), ("LPOP", KEY)),
    ("UNLINK", KEY),
    *(("SADD", KEY, 1, 2), ("SCARD", KEY), ("SPOP", KEY), ("EXPIRE", KEY, 10), ("UNLINK", KEY)),
    *(("HSETNX", KEY, "a", 1), ("HEXISTS", KEY, "a"), ("HGETALL", KEY), ("HLEN", KEY), ("HMGET", KEY, "a")),
    *(("HINCRBY", KEY, "a", 1), ("HINCRBYFLOAT", KEY, "a", 1), ("UNLINK", KEY)),
    *(("ZADD", KEY, 1, "a"), ("ZCARD", KEY), ("ZCOUNT", KEY, 0, 1), ("ZRANK", KEY, "a"), ("ZSCORE", KEY, "a")),
    *(("ZRANGEBYSCORE", KEY, 0, 1), ("ZREVRANGE", KEY, 0, 1), ("ZREMRANGEBYRANK", KEY, 0, 1)),
    *(("INCRBY", KEY, 1), ("MGET", KEY), ("UNLINK", KEY)),
)


def check_store(client: Client) -> None:
    """Raise Unavailable if the job store's Redis cannot be used, for whatever reason it gives."""
    _check(client, JOB_STORE, BROKER_COMMANDS[2:] + STORE_COMMANDS)


def check_broker(client: Client) -> None:
    """Raise Unavailable if the Redis of Celery's messages cannot be used."""
    _check(client, BROKER, BROKER_COMMANDS)


def _check(client: Client, part: str, commands: Commands) -> None:
    """Run all commands in one transaction, of which nothing remains."""
    with redis_errors(part), client.pipeline() as pipeline:
        pipeline.watch(KEY)
        pipeline.multi()
        for command in commands:
            pipeline.execute_command(*command)
        pipeline.execute()


@redis_errors()
def shortcomings(client: Client) -> list[str]:
    """Return what is missing in the configuration of the job store's Redis, each with its consequence."""
    info = {**client.info("memory"), **client.info("persistence")}
    policy = info.get("maxmemory_policy", "noeviction")
    found = {
        f"Redis may delete jobs when its memory is full: set maxmemory-policy noeviction, not {policy}.": (
            policy != "noeviction"
        ),
        "Redis has no append-only file, so accepted jobs are lost when it stops: set appendonly yes.": (
            info.get("aof_enabled") == 0
        ),
        "Redis has no memory limit, so it accepts uploads until the machine's memory is full: set maxmemory.": (
            info.get("maxmemory") == 0
        ),
    }
    return [sentence for sentence, is_missing in found.items() if is_missing]
