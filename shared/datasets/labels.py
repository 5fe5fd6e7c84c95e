"""The Labels of a Dataset: add, rename, merge and delete them. An index, once given, stays with its Label for ever."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from shared.datasets.names import MAX_LABELS
from shared.datasets.store import dataset_not_found, label_names, too_many_labels
from shared.domain.entities import new_id
from shared.domain.errors import Conflict, NotFound, you_have
from shared.redis import keys
from shared.redis.connection import Client, Scripts, redis_errors

#: Pictures that one call of a script moves to another Label or deletes: about 10 ms of Redis's time.
MOVE_BATCH = 1000


class Fate(StrEnum):
    """What happens to the pictures of a deleted Label."""

    DELETE = "delete"
    UNLABEL = "unlabel"


class DatasetLabels:
    """Labels in Redis. Every method raises NotFound if the Dataset is gone, and Unavailable."""

    def __init__(self, client: Client) -> None:
        self._redis = client
        self._scripts = Scripts(client)

    @redis_errors()
    def names(self, dataset: str) -> dict[int, str]:
        """Return the names of the Labels by index, in order."""
        return label_names(self._redis.hgetall(keys.dataset(dataset, "labels")))

    @redis_errors()
    def index(self, dataset: str, name: str) -> int:
        """Return the index of a Label. Raise NotFound."""
        found = self._redis.hget(keys.dataset(dataset, "label-indices"), name)
        if found is None:
            raise label_not_found(name, self.names(dataset).values())
        return int(found)

    @redis_errors()
    def add(self, dataset: str, names: Sequence[str]) -> list[int]:
        """Add Labels with these valid names, unless they are there, and return their indices; all or none.

        Raise Conflict if there would be more than MAX_LABELS.
        """
        answer = self._scripts.run("dataset_label", dataset, MAX_LABELS, *names)
        if answer == "missing":
            raise dataset_not_found()
        if answer == "full":
            raise too_many_labels()
        return [int(index) for index in answer]

    @redis_errors()
    def rename(self, dataset: str, name: str, new: str) -> None:
        """Rename a Label; `new` is a valid name. Raise NotFound, or Conflict if another Label has that name."""
        answer = self._scripts.run("dataset_rename", dataset, self.index(dataset, name), new)
        if answer == "missing":
            raise dataset_not_found()
        if answer == "unknown":
            raise label_not_found(name)
        if answer == "taken":
            raise Conflict(f"there is a label {new!r} already: merge the two, or choose another name")

    @redis_errors()
    def merge(self, dataset: str, name: str, into: str) -> None:
        """Give all pictures of a Label the Label `into`, and delete it. Raise NotFound."""
        if name != into:
            self._move(dataset, name, into, delete=False)

    @redis_errors()
    def delete(self, dataset: str, name: str, pictures: Fate) -> None:
        """Delete a Label and, as `pictures` says, delete its pictures or leave them without a Label. Raise NotFound.

        The bytes of deleted pictures are deleted by `DatasetSweep.finish`.
        """
        self._move(dataset, name, "", delete=pictures is Fate.DELETE)

    @redis_errors()
    def finish_move(self, dataset: str) -> None:
        """Complete a merge or a deletion that a crash has interrupted, if there is one."""
        while self._scripts.run("dataset_move", dataset, MOVE_BATCH):
            pass

    def _move(self, dataset: str, name: str, into: str, *, delete: bool) -> None:
        args = new_id(), name, into, "1" if delete else "0"
        while (answer := self._scripts.run("dataset_begin_move", dataset, *args)) == "busy":
            self.finish_move(dataset)
        if answer == "missing":
            raise dataset_not_found()
        if answer != "begun":
            raise label_not_found(into if answer == "unknown into" else name, self.names(dataset).values())
        self.finish_move(dataset)


def label_not_found(name: str, names: Iterable[str] = ()) -> NotFound:
    """Return the error for an unknown Label; it lists the `names` that there are."""
    return NotFound(f"the dataset has no label {name[:80]!r}{you_have(names)}")
