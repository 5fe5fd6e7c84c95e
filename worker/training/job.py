"""The process of one training job: `python -m worker.training.job <training> <job>`, started by the supervisor.

Its exit status: 0 where the job has ended, EX_TEMPFAIL where it should be tried again; anything else is a crash.
"""

from __future__ import annotations

import logging
import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from shared import logs
from shared.domain.entities import Failure, Training, checkpoint_key, job_folder
from shared.domain.errors import DarkroomError, InvalidRequest, NotFound, StorageFull, Unavailable
from shared.domain.times import rfc3339
from shared.jobs.trainings import TrainingCommand, TrainingStore
from shared.services import Services
from shared.settings import load_settings
from shared.storage.blobs import BlobStore
from shared.training.datasets import WITH_CORRECTIONS
from shared.training.params import parse
from shared.training.presets import TrainingParams
from shared.training.speeds import Speed
from worker.data.datasets import Dataset, load_cifar10
from worker.presets import PRESETS
from worker.publishing.promotion import promote
from worker.publishing.scratch import PUBLISH_PREFIX
from worker.training.corrections import TooFewCorrections, frozen, joined, judged
from worker.training.progress import Row, TrainingCancelled, TrainingDiverged

log = logging.getLogger("darkroom.train")

#: Added to the process's niceness: whoever waits for a classification goes first on a shared machine.
NICENESS = 10
#: Seconds between two looks at whether the worker that started this process is still there.
LEASH_S = 0.5
#: Seconds between two tries to write a row while Redis is away; the worker ends this process if that takes too long.
RETRY_S = 1.0


class BlobCheckpoint:
    """Keeps a training's checkpoint in the blob store. Raises StorageFull and Unavailable."""

    def __init__(self, blobs: BlobStore, job_id: str) -> None:
        self._blobs, self._key = blobs, checkpoint_key(job_id)

    def save(self, content: bytes) -> None:
        """Replace the checkpoint in one step."""
        self._blobs.put(self._key, content)

    def load(self) -> bytes | None:
        """Return the last one, None where there is none yet."""
        try:
            return self._blobs.get(self._key)
        except NotFound:
            return None


class StoredControl:
    """Passes on what is asked of the job. Where Redis is away the training goes on: its worker decides how long."""

    def __init__(self, trainings: TrainingStore, training: Training) -> None:
        self._trainings, self._training = trainings, training

    def ask(self, step: int) -> TrainingCommand:  # noqa: ARG002 - the port's
        """Return what to do now."""
        try:
            return self._trainings.command(self._training)
        except Unavailable:
            return TrainingCommand.CONTINUE


class Rows:
    """Writes the rows of a training into the job store."""

    def __init__(self, trainings: TrainingStore, training: Training, batch_size: int) -> None:
        self._trainings, self._training, self._batch_size = trainings, training, batch_size

    def restore(self, rows: Sequence[Row]) -> None:
        """Write the rows of a checkpoint that are not there: the worker may have died between the two."""
        known = len(self._trainings.rows(self._training.job_id, 0, len(rows)))
        for row in rows[known:]:
            self.add(row)

    def add(self, row: Row) -> None:
        """Write one row. Raises TrainingCancelled where the training is no longer ours."""
        left = (row.steps - row.step) * self._batch_size / row.images_per_s
        while True:
            try:
                if not self._trainings.add_row(self._training, row_record(row), left):
                    raise TrainingCancelled("another worker has this training now.")
                return
            except Unavailable:
                time.sleep(RETRY_S)


def row_record(row: Row) -> dict[str, Any]:
    """Return the row as JSON, with `at` as an RFC 3339 timestamp."""
    return {**row.as_dict(), "at": rfc3339(row.at)}


def run(services: Services, training: Training) -> int:
    """Train, publish, promote if asked to, and end the job; return the exit status."""
    try:
        version = _published(services, training) or _train(services, training)
        _check_ours(services, training)
        promotion = promote(services.registry, str(training.params["promote"]), version)
        services.blobs.delete_all(job_folder(training.job_id))  # the version is there: nobody needs the checkpoint
        services.trainings.succeed(training, version, asdict(promotion))
    except (Unavailable, TrainingCancelled) as error:
        log.warning("training %s stops: %s", training.job_id, error)
        return os.EX_TEMPFAIL
    except DarkroomError as error:
        log.warning("training %s fails: %s", training.job_id, error)
        services.trainings.fail(training, Failure(code(error), str(error)))
    return os.EX_OK


def code(error: DarkroomError) -> str:
    """The stable code of what ended a training."""
    if isinstance(error, TrainingDiverged):
        return "diverged"
    if isinstance(error, StorageFull):
        return "storage_full"
    if isinstance(error, TooFewCorrections):
        return "too_few_corrections"
    return "dataset" if isinstance(error, DatasetUnusable) else "not_trainable"


class DatasetUnusable(InvalidRequest):
    """The data set is missing or damaged."""


def _published(services: Services, training: Training) -> str | None:
    """The version that an earlier process of this job has published before it died."""
    version = services.trainings.planned_version(training)
    return version if version and services.registry.exists(version) else None


def _check_ours(services: Services, training: Training) -> None:
    """Raise TrainingCancelled where the training was cancelled, or given to another worker because we were stalled."""
    if services.trainings.command(training) in (TrainingCommand.CANCEL, TrainingCommand.LOST):
        raise TrainingCancelled("it was cancelled, or another worker has it now.")


def _train(services: Services, training: Training) -> str:
    """Train from the checkpoint or the beginning, publish what came out, and return its version."""
    # TensorFlow takes seconds to load: what is wrong with the request or the data shows before.
    params = parse(training.params)
    preset = PRESETS[params.preset]
    dataset = _dataset(services, training.job_id, params)
    base_file = services.registry.model_file(params.base) if params.base else None

    from worker.training.loop import Watch  # noqa: PLC0415 - see above
    from worker.training.publish_trained import publish_trained  # noqa: PLC0415
    from worker.training.train import train  # noqa: PLC0415

    rows = Rows(services.trainings, training, params.batch_size)
    watch = Watch(
        on_start=rows.restore,
        on_row=rows.add,
        control=StoredControl(services.trainings, training),
        checkpoint=BlobCheckpoint(services.blobs, training.job_id),
    )
    trained = train(preset, dataset, params.seed, params, watch, base=base_file)
    log.info("training %s: %s", training.job_id, trained.profile.sentence)
    if trained.model.count_params() == params.weights:
        images_per_s = statistics.median(row.images_per_s for row in trained.rows)
        services.speeds.record(params.preset, Speed(images_per_s, socket.gethostname()))
    with tempfile.TemporaryDirectory(dir=services.blobs.temporary_folder, prefix=PUBLISH_PREFIX) as folder:
        card = publish_trained(trained, judged(services.registry, dataset), Path(folder), params.base)
        if not services.trainings.plan_version(training, card.version):
            raise TrainingCancelled("another worker has this training now.")
        services.registry.publish(Path(folder) / card.version)
    return card.version


def _dataset(services: Services, job_id: str, params: TrainingParams) -> Dataset:
    """The data set of the job. Raises DatasetUnusable, TooFewCorrections, StorageFull and Unavailable."""
    try:
        base = load_cifar10()
    except (NotFound, InvalidRequest) as error:
        raise DatasetUnusable(str(error)) from error
    if params.dataset != WITH_CORRECTIONS:
        return base
    return joined(base, frozen(services, job_id))


def _end_with(parent: int) -> None:
    """End this process as soon as its worker is gone: somebody else takes the training over then."""
    while os.getppid() == parent:
        time.sleep(LEASH_S)
    os._exit(os.EX_TEMPFAIL)


def main(arguments: Sequence[str]) -> int:
    """Run the training job of the command line."""
    threading.Thread(target=_end_with, args=(os.getppid(),), name="leash", daemon=True).start()
    logs.configure()
    os.nice(NICENESS)
    services = Services.build(load_settings())
    fence, job_id = arguments
    job = services.store.get(job_id)
    with logs.job_context(job_id, job.request_id):
        return run(services, Training(fence, job_id, job.params, job.request_id))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
