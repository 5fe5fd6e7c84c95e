"""The configuration of a Redis server that loses nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.redis.connection import Client, redis_errors

#: The oldest major version that Darkroom is tested with. Valkey also says which Redis it is like.
OLDEST = 7


@redis_errors()
def shortcomings(client: Client) -> list[str]:
    """Return what is missing in the configuration of the job store's Redis, each with its consequence."""
    return missing({**client.info("server"), **client.info("memory"), **client.info("persistence")})


def missing(info: Mapping[str, Any]) -> list[str]:
    """Return what is missing according to Redis's answers to INFO."""
    version = str(info.get("redis_version", OLDEST))
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
        f"Redis {version} is older than what Darkroom is tested with: use Redis {OLDEST}, or Valkey.": (
            int(version.partition(".")[0]) < OLDEST
        ),
    }
    return [sentence for sentence, is_missing in found.items() if is_missing]
