"""Corrections: Labels that a person has given to classified Items. The committed Predictions do not change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

from shared.domain.entities import LOCAL_OWNER
from shared.domain.errors import Conflict, NotFound
from shared.jobs.chunks import UNKNOWN
from shared.jobs.records import read_upload
from shared.jobs.store import item_not_found, job_not_found
from shared.redis import keys
from shared.redis.connection import Client, Scripts, redis_errors

#: Corrected Items that are read in one round trip.
READ_BATCH = 500


@dataclass(frozen=True)
class LabelCount:
    """The number of a Job's classified Items with a Label, and how many of them were corrected to it."""

    count: int = 0
    corrected: int = 0


@dataclass(frozen=True)
class Correction:
    """One corrected Item to train on: its image is `blob_key(job_id, stored_as)`, `label` is a name."""

    job_id: str
    key: str
    sha256: str
    label: str
    stored_as: str


class Corrections:
    """Corrections in Redis. Every method raises Unavailable if Redis cannot be reached."""

    def __init__(self, client: Client, labels_of: Callable[[str], tuple[str, ...]]) -> None:
        """`labels_of` returns the Labels of a ModelVersion by index, and raises NotFound if it does not exist."""
        self._redis = client
        self._scripts = Scripts(client)
        self._labels_of = labels_of

    @redis_errors()
    def put(self, job_id: str, labels: Mapping[str, int | None]) -> None:
        """Correct each of these Items, by key, to the Label of this index; None removes its correction.

        Correct all of them in one step, or none. Repeating the call changes nothing.
        Raise NotFound, or Conflict if an Item was not classified.
        """
        parts = [part for key, index in labels.items() for part in (key, "" if index is None else index)]
        result = self._scripts.run("correct", job_id, *parts)
        if result != ["corrected"]:
            _refuse(job_id, *result)

    @redis_errors()
    def counts(self, job_id: str) -> dict[int, LabelCount]:
        """Return the count of each Label of a Job, by index, at a cost that does not depend on its number of Items."""
        record = self._redis.hgetall(keys.job(job_id, "labels"))
        corrected = {name.removeprefix("corrected:"): int(count) for name, count in record.items() if ":" in name}
        return {
            int(name): LabelCount(int(count), corrected.get(name, 0))
            for name, count in record.items()
            if name.isdecimal()
        }

    @redis_errors()
    def unknown(self, job_id: str) -> int:
        """Return the number of a Job's classified Items whose answer is "unknown", without corrected ones."""
        return int(self._redis.hget(keys.job(job_id, "labels"), UNKNOWN) or 0)

    def all(self, owner: str | None = None) -> Iterator[Correction]:
        """Iterate over the corrected Items of an owner's Jobs, or of all, in no particular order, reading lazily.

        Skip Jobs whose ModelVersion no longer exists, since the names of its Labels are unknown.
        """
        with redis_errors():
            for job_id in self._redis.zrange(keys.CORRECTED, 0, -1):
                model, found = self._redis.hmget(keys.job(job_id), "model", "owner")
                if model and owner in (None, found or LOCAL_OWNER):
                    yield from self._of_job(job_id, model)

    def _of_job(self, job_id: str, model: str) -> Iterator[Correction]:
        try:
            names = self._labels_of(model)
        except NotFound:
            return
        corrected = list(self._redis.hgetall(keys.job(job_id, "corrections")).items())
        for start in range(0, len(corrected), READ_BATCH):
            batch = corrected[start : start + READ_BATCH]
            uploads = self._redis.hmget(keys.job(job_id, "items"), [key for key, _ in batch])
            for (key, index), record in zip(batch, uploads, strict=True):
                if record is not None:
                    upload, _ = read_upload(key, record)
                    yield Correction(job_id, key, upload.sha256, names[int(index)], upload.stored_as)


def _refuse(job_id: str, reason: str, key: str = "") -> NoReturn:
    if reason == "missing":
        raise job_not_found(job_id)
    if reason == "unknown":
        raise item_not_found(job_id, key)
    raise Conflict(f"item {key!r} is {reason}: only classified items can be corrected")
