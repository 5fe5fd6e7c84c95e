"""The alias `champion` in Redis: the version that serves new jobs."""

from __future__ import annotations

from dataclasses import dataclass

from shared.domain.entities import new_id
from shared.domain.errors import PreconditionFailed
from shared.redis import keys
from shared.redis.connection import Client, Scripts, redis_errors


@dataclass(frozen=True)
class Alias:
    """The champion, since when (in seconds since the epoch), and the one before.

    `revision` is the number of changes; 0 if no version was ever promoted.
    """

    version: str
    since: float
    revision: int
    previous: str | None = None


class ChampionAlias:
    """The champion of all processes. Every method raises Unavailable if Redis cannot be reached."""

    def __init__(self, client: Client) -> None:
        self._redis = client
        self._scripts = Scripts(client)

    @redis_errors()
    def get(self) -> Alias | None:
        """Return the alias, or None if no version was ever promoted."""
        record = self._redis.hgetall(keys.CHAMPION)
        if not record:
            return None
        since = int(record["since"]) / 1000
        return Alias(record["version"], since, int(record["revision"]), record["previous"] or None)

    @redis_errors()
    def set(self, version: str, before: Alias, expected: int | None) -> None:
        """Set the champion. `before` is the default one, if none was promoted yet. Setting the same again does nothing.

        Raises PreconditionFailed if the revision is not `expected`; None allows any.
        """
        wanted = "" if expected is None else expected
        answer = self._scripts.run("promote", version, wanted, before.version, new_id())
        if answer == "changed":
            raise PreconditionFailed("the champion has changed since you read it: read it again, then retry")
