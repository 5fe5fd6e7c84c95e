"""The rows of a training in the job store, one for each step that is worth showing."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from shared.domain.entities import Training
from shared.domain.errors import Unavailable
from shared.domain.times import rfc3339
from shared.jobs.trainings import TrainingStore
from worker.training.progress import Row, TrainingCancelled

#: Seconds between two tries to write a row while Redis is down; the supervisor ends this process if it takes too long.
RETRY_S = 1.0


class RowWriter:
    """Writes the rows of a training that learns in epochs."""

    def __init__(self, trainings: TrainingStore, training: Training, batch_size: int, images_per_s: float = 1) -> None:
        """`images_per_s` is the speed that is expected before the first step."""
        self._trainings, self._training, self._batch_size = trainings, training, batch_size
        self._expected = images_per_s

    def restore(self, rows: Sequence[Row]) -> None:
        """Write the rows of a checkpoint that are missing because a worker died before it wrote them."""
        known = len(self._trainings.rows(self._training.job_id, 0, len(rows)))
        for row in rows[known:]:
            self.add(row)

    def add(self, row: Row) -> None:
        """Write one row. Raises TrainingCancelled if another worker has the training."""
        images_left = (row.steps - row.step) * self._batch_size
        write_row(self._trainings, self._training, row_record(row), images_left / (row.images_per_s or self._expected))


def write_row(
    trainings: TrainingStore, training: Training, row: Mapping[str, Any], seconds_left: float, *, is_last: bool = False
) -> None:
    """Write one row; wait while Redis is down. Raises TrainingCancelled if another worker has the training."""
    while True:
        try:
            if not trainings.add_row(training, row, seconds_left, is_last=is_last):
                raise TrainingCancelled("another worker has this training now.")
            return
        except Unavailable:
            time.sleep(RETRY_S)


def row_record(row: Row) -> dict[str, Any]:
    """Return the row as JSON, with `at` as an RFC 3339 timestamp."""
    return {**row.as_dict(), "at": rfc3339(row.at)}
