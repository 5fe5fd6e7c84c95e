"""The configuration of a Redis server that loses nothing."""

from __future__ import annotations

from shared.redis.connection import Client, redis_errors


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
