"""Datasets in Redis: create, find, list and remove them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.datasets.entities import DatasetRecord, LabelCounts, Split
from shared.datasets.names import MAX_DATASETS, MAX_LABELS
from shared.domain.entities import new_id
from shared.domain.errors import Conflict, NotFound, you_have
from shared.jobs.cursors import decode_cursor, encode_cursor
from shared.redis import keys
from shared.redis.connection import Client, Scripts, redis_errors


class DatasetStore:
    """The records of Datasets. Every method raises Unavailable if Redis cannot be reached."""

    def __init__(self, client: Client) -> None:
        self._redis = client
        self._scripts = Scripts(client)

    @redis_errors()
    def create(self, owner: str, name: str, labels: Sequence[str] = ()) -> str:
        """Create a Dataset and return its id. `name` and `labels` are valid (`names.py`); labels get indices in order.

        Raise Conflict if the owner has a Dataset of this name, or MAX_DATASETS.
        """
        dataset = new_id()
        answer = self._scripts.run("dataset_create", dataset, owner, name, MAX_DATASETS, *dict.fromkeys(labels))
        if answer == "exists":
            raise Conflict(f"there is a dataset {name} already")
        if answer == "full":
            raise Conflict(f"there are {MAX_DATASETS} datasets, the most an owner may have: delete one")
        return dataset

    @redis_errors()
    def find(self, owner: str, name: str) -> str:
        """Return the id of an owner's Dataset. Raise NotFound."""
        dataset = self._redis.hget(keys.datasets_of(owner), name)
        if dataset is None:
            raise NotFound(f"there is no dataset {name[:64]}{you_have(self._redis.hkeys(keys.datasets_of(owner)))}")
        return str(dataset)

    @redis_errors()
    def exists(self, dataset: str) -> bool:
        """Return whether the Dataset with this id exists."""
        return bool(self._redis.exists(keys.dataset(dataset)))

    @redis_errors()
    def get(self, dataset: str) -> DatasetRecord:
        """Return the record, at a cost that depends on the number of Labels but not of pictures. Raise NotFound."""
        found = self._read([dataset])[0]
        if found is None:
            raise dataset_not_found()
        return found

    @redis_errors()
    def revision(self, dataset: str) -> int:
        """Return the number that grows with each change of the Dataset. Raise NotFound."""
        revision = self._redis.hget(keys.dataset(dataset), "revision")
        if revision is None:
            raise dataset_not_found()
        return int(revision)

    @redis_errors()
    def page(self, owner: str, limit: int, after: str | None = None) -> tuple[list[DatasetRecord], str | None]:
        """Return at most `limit` of an owner's Datasets by name, and the cursor of the next page or None.

        Raise InvalidRequest for a wrong cursor.
        """
        last = "" if after is None else decode_cursor("dataset", after, str)
        found = sorted(pair for pair in self._redis.hgetall(keys.datasets_of(owner)).items() if pair[0] > last)
        records = self._read([dataset for _, dataset in found[:limit]])
        following = encode_cursor("dataset", found[limit - 1][0]) if len(found) > limit else None
        return [record for record in records if record is not None], following

    @redis_errors()
    def remove(self, dataset: str) -> list[str]:
        """Remove the Dataset and return its unfinished Jobs. Its Blobs are deleted by `DatasetSweep.finish`.

        Imports and trainings of it that still run find it gone. Raise NotFound.
        """
        answer = self._scripts.run("dataset_remove", dataset)
        if answer == "missing":
            raise dataset_not_found()
        return list(answer)

    @redis_errors()
    def add_job(self, dataset: str, job_id: str) -> None:
        """Record an import or a training of the Dataset, and forget those that have ended. Raise NotFound."""
        if self._scripts.run("dataset_job", dataset, job_id) == "missing":
            raise dataset_not_found()

    @redis_errors()
    def jobs(self, dataset: str) -> list[str]:
        """Return the Dataset's imports and trainings that may be unfinished, in no particular order."""
        return list(self._redis.smembers(keys.dataset(dataset, "jobs")))

    def _read(self, datasets: Sequence[str]) -> list[DatasetRecord | None]:
        pipeline = self._redis.pipeline(transaction=True)
        for dataset in datasets:
            for part in (None, "labels", "counts"):
                pipeline.hgetall(keys.dataset(dataset, part))
        found = pipeline.execute()
        return [
            _record(dataset, *parts) if parts[0] else None
            for dataset, *parts in zip(datasets, found[::3], found[1::3], found[2::3], strict=True)
        ]


def dataset_not_found() -> NotFound:
    """Return the error for a Dataset that is gone."""
    return NotFound("the dataset does not exist")


def too_many_labels() -> Conflict:
    """Return the error for a Dataset with MAX_LABELS Labels."""
    return Conflict(f"the dataset has {MAX_LABELS} labels, the most that it may have: delete or merge some")


@dataclass(frozen=True)
class Move:
    """A merge or a deletion of a Label that is not complete. `target` is the new code, or None to delete pictures."""

    source: int
    target: int | None


def read_move(moving: str | None) -> Move | None:
    """Return the move in the field `moving` of a record, if there is one."""
    if moving is None:
        return None
    source, target, _ = moving.split()
    return Move(int(source), None if target == "delete" else int(target))


def label_names(labels: Mapping[str, str]) -> dict[int, str]:
    """Return the names of Labels by index, in order, from the hash `labels`."""
    return {index: labels[str(index)] for index in sorted(map(int, labels))}


def _record(
    dataset: str, record: Mapping[str, str], labels: Mapping[str, str], counts: Mapping[str, str]
) -> DatasetRecord:
    return DatasetRecord(
        id=dataset,
        name=record["name"],
        owner=record["owner"],
        created_at=int(record["created_at"]) / 1000,
        updated_at=int(record["updated_at"]) / 1000,
        revision=int(record["revision"]),
        pictures=int(record["pictures"]),
        unlabelled=_unlabelled(record, counts),
        bytes=int(record["bytes"]),
        labels=tuple(
            LabelCounts(index, name, *(_count(record, counts, index + 1, split) for split in Split))
            for index, name in label_names(labels).items()
        ),
    )


def _count(record: Mapping[str, str], counts: Mapping[str, str], code: int, split: Split) -> int:
    """Return the pictures with a Label's code, including those that are being moved to it."""
    move = read_move(record.get("moving"))
    codes = [code, move.source] if move and move.target == code else [code]
    return sum(int(counts.get(f"{each}:{split}", 0)) for each in codes)


def _unlabelled(record: Mapping[str, str], counts: Mapping[str, str]) -> int:
    move = read_move(record.get("moving"))
    codes = ["0", str(move.source)] if move and move.target == 0 else ["0"]
    return sum(int(count) for name, count in counts.items() if name.partition(":")[0] in codes)
