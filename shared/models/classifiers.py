"""Classifiers in Redis: those of each owner, their champions, and which of them are in use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.classifier import SHIPPED_CLASSIFIERS, Classifier
from shared.domain.entities import new_id
from shared.domain.errors import Conflict, NotFound, PreconditionFailed
from shared.redis import keys
from shared.redis.connection import Client, Scripts, now_ms, redis_errors

#: Seconds after its last new Job for which a Classifier is in use, and the Classifiers that are in use at most.
IN_USE_S, MAX_IN_USE = 3600, 16


@dataclass(frozen=True)
class Alias:
    """The champion, since when (in seconds since the epoch), and the one before.

    `revision` is the number of changes; 0 if no version was ever promoted.
    """

    version: str
    since: float
    revision: int
    previous: str | None = None


class Classifiers:
    """The Classifiers of all processes. Every method raises Unavailable if Redis cannot be reached.

    The shipped ones always exist. One of an owner exists from `add` to `remove`.
    """

    def __init__(self, client: Client) -> None:
        self._redis = client
        self._scripts = Scripts(client)

    @redis_errors()
    def add(self, classifier: Classifier) -> None:
        """Add a Classifier of an owner, without a champion, if it does not exist. Raise Conflict for a shipped name."""
        if classifier.owner is None:
            return
        if classifier.name in {shipped.name for shipped in SHIPPED_CLASSIFIERS}:
            raise Conflict(f"the classifier {classifier.name} ships with Darkroom: choose another name")
        self._scripts.run("add_classifier", classifier.owner, classifier.name)

    @redis_errors()
    def remove(self, classifier: Classifier) -> None:
        """Remove a Classifier of an owner; its versions stay. Raise NotFound."""
        if self._scripts.run("remove_classifier", classifier.owner or "", classifier.name) == "missing":
            raise classifier_not_found(classifier.name)

    @redis_errors()
    def names(self, owner: str) -> list[str]:
        """Return the names of an owner's Classifiers, sorted."""
        return sorted(self._redis.smembers(keys.classifiers_of(owner)))

    @redis_errors()
    def exists(self, classifier: Classifier) -> bool:
        """Return whether an owner's Classifier exists."""
        return classifier.is_shipped or bool(self._redis.exists(keys.classifier(classifier)))

    @redis_errors()
    def alias(self, classifier: Classifier) -> Alias | None:
        """Return the champion, or None if no version was ever promoted."""
        record = self._redis.hgetall(keys.classifier(classifier))
        if "version" not in record:
            return None
        since = int(record["since"]) / 1000
        return Alias(record["version"], since, int(record["revision"]), record["previous"] or None)

    @redis_errors()
    def promote(self, classifier: Classifier, version: str, before: str | None, expected: int | None) -> None:
        """Set the champion. `before` is the default one, if none was promoted yet. Setting the same again does nothing.

        Raise PreconditionFailed if the revision is not `expected` (None allows any), and NotFound.
        """
        wanted = "" if expected is None else expected
        names = classifier.owner or "", classifier.name
        answer = self._scripts.run("promote", *names, version, wanted, before or "", new_id())
        if answer == "changed":
            raise PreconditionFailed("the champion has changed since you read it: read it again, then retry")
        if answer == "missing":
            raise classifier_not_found(classifier.name)

    @redis_errors()
    def record_use(self, classifier: Classifier) -> None:
        """Record that a Job was created for the Classifier, so that workers load its champion."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.zadd(keys.CLASSIFIERS_IN_USE, {f"{classifier.owner or ''}:{classifier.name}": now_ms(self._redis)})
        pipeline.zremrangebyrank(keys.CLASSIFIERS_IN_USE, 0, -MAX_IN_USE - 1)
        pipeline.execute()

    @redis_errors()
    def in_use(self) -> Sequence[Classifier]:
        """Return the Classifiers that Jobs were created for in the last IN_USE_S, the last one first."""
        found = self._redis.zrevrange(keys.CLASSIFIERS_IN_USE, 0, -1, withscores=True)
        since = now_ms(self._redis) - IN_USE_S * 1000 if found else 0
        pairs = (member.rpartition(":") for member, used_at in found if used_at >= since)
        return [Classifier(name, owner or None) for owner, _, name in pairs]


def classifier_not_found(name: str) -> NotFound:
    """Return the error for an unknown Classifier."""
    return NotFound(f"there is no classifier {name[:64]}")
