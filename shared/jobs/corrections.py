"""Corrections: the Label that a person gave to a classified Item. The Prediction that was committed stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

from shared.domain.entities import LOCAL_OWNER
from shared.domain.errors import Conflict, NotFound
from shared.jobs.records import read_upload
from shared.jobs.store import item_not_found, job_not_found
from shared.redis import keys
from shared.redis.connection import Client, Scripts, redis_errors

#: Corrected Items that are read in one go.
READ_BATCH = 500


@dataclass(frozen=True)
class LabelCount:
    """How many classified Items of a Job have a Label now, and how many of these were corrected to it."""

    count: int = 0
    corrected: int = 0


@dataclass(frozen=True)
class Correction:
    """One corrected Item, to train on: its picture is `blob_key(job_id, sha256)`, `label` the name it was given."""

    job_id: str
    key: str
    sha256: str
    label: str


class Corrections:
    """Sets, counts and lists them. Every method raises Unavailable where Redis cannot be reached."""

    def __init__(self, client: Client, labels_of: Callable[[str], tuple[str, ...]]) -> None:
        """`labels_of` gives the Labels of a ModelVersion, by index, and raises NotFound for one that is lost."""
        self._redis = client
        self._scripts = Scripts(client)
        self._labels_of = labels_of

    @redis_errors()
    def put(self, job_id: str, labels: Mapping[str, int | None]) -> None:
        """Give each of these Items, by its key, the Label of this index, or with None that of its Prediction again.

        All of them in one step or, where one cannot be corrected, none. A repeat changes nothing.
        Raises NotFound, and Conflict for an Item that was not classified.
        """
        parts = [part for key, index in labels.items() for part in (key, "" if index is None else index)]
        answer = self._scripts.run("correct", job_id, *parts)
        if answer != ["corrected"]:
            _refuse(job_id, *answer)

    @redis_errors()
    def counts(self, job_id: str) -> dict[int, LabelCount]:
        """How often each Label occurs in a Job, by index, at a cost that does not depend on its Items."""
        record = self._redis.hgetall(keys.job(job_id, "labels"))
        corrected = {name.removeprefix("corrected:"): int(count) for name, count in record.items() if ":" in name}
        return {
            int(name): LabelCount(int(count), corrected.get(name, 0))
            for name, count in record.items()
            if ":" not in name
        }

    def all(self, owner: str | None = None) -> Iterator[Correction]:
        """Every corrected Item of this owner's Jobs, or of all, read as it is asked for; what is deleted is gone.

        In no certain order. Jobs whose ModelVersion is lost are left out, since nobody knows their Labels' names.
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
            for (key, index), upload in zip(batch, uploads, strict=True):
                if upload is not None:
                    yield Correction(job_id, key, read_upload(key, upload)[0].sha256, names[int(index)])


def _refuse(job_id: str, reason: str, key: str = "") -> NoReturn:
    if reason == "missing":
        raise job_not_found(job_id)
    if reason == "unknown":
        raise item_not_found(job_id, key)
    raise Conflict(f"item {key!r} is {reason}: only one that was classified can be corrected")
