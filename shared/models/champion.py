"""The alias `champion`, in Redis: which version serves new jobs, since when, and which one did before."""

from __future__ import annotations

from dataclasses import dataclass

from shared.domain.entities import new_id
from shared.domain.errors import PreconditionFailed
from shared.redis import keys
from shared.redis.connection import Client, Scripts, redis_errors


@dataclass(frozen=True)
class Alias:
    """What the champion is. `since` is in seconds since the epoch.

    `revision` grows by one with every change; it is 0 where nobody ever chose. `previous` was the champion before.
    """

    version: str
    since: float
    revision: int
    previous: str | None = None


class ChampionAlias:
    """The choice that was made, shared by all processes. Every method raises Unavailable."""

    def __init__(self, client: Client) -> None:
        self._redis = client
        self._scripts = Scripts(client)

    @redis_errors()
    def get(self) -> Alias | None:
        """The choice, None where nobody made one yet."""
        record = self._redis.hgetall(keys.CHAMPION)
        if not record:
            return None
        since = int(record["since"]) / 1000
        return Alias(record["version"], since, int(record["revision"]), record["previous"] or None)

    @redis_errors()
    def set(self, version: str, before: Alias, expected: int | None) -> None:
        """Choose `version`. `before` is what serves where nobody chose yet; choosing the champion again does nothing.

        Raises PreconditionFailed where the revision is not `expected`; None stands for any.
        """
        wanted = "" if expected is None else expected
        answer = self._scripts.run("promote", version, wanted, before.version, new_id())
        if answer == "changed":
            raise PreconditionFailed("somebody else has changed the champion meanwhile: look again before you do")
