"""The commit of an import's Chunk: its Items end, and its pictures are in the Dataset, in one step."""

from __future__ import annotations

from collections.abc import Mapping

from shared.datasets.entities import CommitResult, CommitState, NewPicture
from shared.datasets.names import MAX_LABELS, MAX_PICTURES
from shared.datasets.picture import flags_of, rest_of
from shared.domain.entities import Chunk, Failure, ItemState, Outcome
from shared.jobs.records import outcome_json
from shared.redis.connection import Client, Scripts, redis_errors

NO_ROOM = Failure("dataset_full", f"the dataset has {MAX_PICTURES:,} pictures, the most that it may have")
NO_LABEL = Failure("too_many_labels", f"the dataset has {MAX_LABELS:,} labels, the most that it may have")
DELETED = Failure("dataset_deleted", "the dataset was deleted")


class DatasetImports:
    """Commits of imports in Redis. Every method raises Unavailable if Redis cannot be reached."""

    def __init__(self, client: Client) -> None:
        self._scripts = Scripts(client)

    @redis_errors()
    def commit(
        self, chunk: Chunk, dataset: str, seen: int, rows: int, outcomes: Mapping[str, NewPicture | Failure]
    ) -> CommitResult:
        """Commit the outcome of each Item of the Chunk, by key, and add its pictures to the Dataset, all or nothing.

        The pictures become the Block `chunk.id` of `rows` rows, whose Blobs are stored already. Items with the same
        bytes have the same row. `seen` is the number of Blocks in which near copies were looked for: if there are more
        by now, or a picture without a row is not there, the result is BEHIND and nothing has changed. If there is
        another result without `added` pictures, the Block's folder can be deleted; of a Block with some, `DatasetSweep`
        deletes what belongs to the others.

        A picture that is there keeps its Label, or gets this one if it has none. New Labels are added. A repeated call
        within a minute changes nothing and returns the same.

        Raise ValueError if `outcomes` does not have exactly the Chunk's Items.
        """
        if outcomes.keys() != {upload.key for upload in chunk.uploads}:
            raise ValueError("`outcomes` must have exactly the items of the chunk")
        failures = [outcome_json(Outcome(ItemState.FAILED, failure=each)) for each in (NO_ROOM, NO_LABEL, DELETED)]
        parts = [part for key, outcome in outcomes.items() for part in _args(key, outcome, seen)]
        state, *lists = self._scripts.run(
            "dataset_commit", chunk.id, dataset, seen, rows, MAX_PICTURES, MAX_LABELS, *failures, *parts
        )
        added, failed = lists or ((), ())
        digests = {new.row: new.sha256 for new in outcomes.values() if isinstance(new, NewPicture)}
        return CommitResult(CommitState(state), frozenset(digests[int(row)] for row in added), frozenset(failed))


def _args(key: str, outcome: NewPicture | Failure, block: int) -> tuple[str | int | bytes, ...]:
    if isinstance(outcome, Failure):
        return key, outcome_json(Outcome(ItemState.FAILED, failure=outcome)), "", "", "", "", "", ""
    return (
        key,
        "",
        "" if outcome.row is None else outcome.row,
        outcome.label or "",
        flags_of(outcome.split, outcome.pinned, outcome.media_type),
        rest_of(outcome, block),
        ",".join(map(str, outcome.near)),
        ",".join(map(str, outcome.near_rows)),
    )
