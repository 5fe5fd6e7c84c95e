"""The process of one training job: `python -m worker.training.job TRAINING JOB`, started by the supervisor.

Exit status: 0 if the job has ended, EX_TEMPFAIL if it should be tried again, EX_NOINPUT if this machine lacks the data
and another one should try (only with --leave-without-data); any other is a crash.
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
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, cast

from shared import logs
from shared.domain.card import SNAPSHOT_FILE, Input, ModelCard
from shared.domain.entities import Failure, Training, checkpoint_key, job_folder
from shared.domain.errors import DarkroomError, InvalidRequest, NotFound, StorageFull, Unavailable
from shared.jobs.trainings import TrainingCommand, TrainingStore
from shared.services import Services
from shared.settings import load_settings
from shared.storage.blobs import BlobStore
from shared.training.datasets import WITH_CORRECTIONS
from shared.training.params import parse
from shared.training.presets import DistilParams, FinetuneParams, HeadParams, TrainingParams
from shared.training.speeds import Speed
from worker import hardware
from worker.data.datasets import Dataset, load_cifar10
from worker.datasets.images import SHAPE, images_of
from worker.datasets.pixels import StoredPictures
from worker.datasets.snapshot import DatasetGone, FrozenDataset, TooFewPictures, freeze, pack
from worker.presets import PRESETS, Preset
from worker.publishing.promotion import Judge, promote
from worker.publishing.scratch import PUBLISH_PREFIX
from worker.serving.forward import ModelUnusable
from worker.training.corrections import (
    TooFewCorrections,
    freeze_corrections,
    with_champion_score,
    with_corrections,
)
from worker.training.dataset_judge import DatasetJudge
from worker.training.finetune import expect_speed, is_usual, prepare
from worker.training.head import train_head
from worker.training.progress import TrainingCancelled, TrainingDiverged
from worker.training.publish_learnt import publish_learnt
from worker.training.report import report_on
from worker.training.rows import RowWriter, row_record, write_row
from worker.training.teacher import Targets, kept_targets, load_teacher, soft_targets

if TYPE_CHECKING:
    from worker.training.loop import Callbacks
    from worker.training.train import TrainedModel

log = logging.getLogger("darkroom.train")

#: Added to the niceness of this process, so that classification has priority on a shared machine.
NICENESS = 10
#: Seconds between two checks that the worker that started this process is still alive.
PARENT_CHECK_S = 0.5


class DatasetUnusable(InvalidRequest):
    """The dataset is missing or damaged."""


class BlobCheckpointStore:
    """Keeps the checkpoint of a training in the blob store. Raises StorageFull and Unavailable."""

    def __init__(self, blobs: BlobStore, job_id: str) -> None:
        self._blobs, self._key = blobs, checkpoint_key(job_id)

    def save(self, content: bytes) -> None:
        """Replace the checkpoint atomically."""
        self._blobs.put(self._key, content)

    def load(self) -> bytes | None:
        """Return the last checkpoint, or None before the first."""
        try:
            return self._blobs.get(self._key)
        except NotFound:
            return None


class JobControl:
    """Reads the commands for a training from the job store.

    A training continues while Redis is down: the supervisor decides for how long.
    """

    def __init__(self, trainings: TrainingStore, training: Training) -> None:
        self._trainings, self._training = trainings, training

    def command(self, step: int) -> TrainingCommand:  # noqa: ARG002 - part of the port
        """Return what to do now."""
        try:
            return self._trainings.command(self._training)
        except Unavailable:
            return TrainingCommand.CONTINUE


def run(services: Services, training: Training, *, leave_without_data: bool = False) -> int:
    """Train, publish, promote if requested, and end the job; return the exit status."""
    trainings, registry = services.trainings, services.registry
    try:
        version = trainings.planned_version(training)
        if version is None or not registry.exists(version):  # else a process that died has published it
            version = _train(services, training)
        _check_still_ours(trainings, training)
        promotion = promote(registry, str(training.params["promote"]), version, _judge(services, training))
        services.blobs.delete_all(job_folder(training.job_id))  # the checkpoint is not needed after publishing
        trainings.succeed(training, version, asdict(promotion))
    except (Unavailable, TrainingCancelled) as error:
        log.warning("training %s stops: %s", training.job_id, logs.with_cause(error))
        return os.EX_TEMPFAIL
    except DarkroomError as error:
        if leave_without_data and isinstance(error, DatasetUnusable):
            log.warning("training %s cannot run here: %s", training.job_id, error)
            return os.EX_NOINPUT
        log.warning("training %s fails: %s", training.job_id, logs.with_cause(error))
        trainings.fail(training, Failure(failure_code(error), str(error)))
    return os.EX_OK


#: Codes of the errors that fail a training.
FAILURE_CODES: dict[type[DarkroomError], str] = {
    TrainingDiverged: "diverged",
    StorageFull: "storage_full",
    TooFewCorrections: "too_few_corrections",
    DatasetUnusable: "dataset",
    DatasetGone: "dataset_deleted",
    TooFewPictures: "too_few_pictures",
    ModelUnusable: "model_unusable",
}


def failure_code(error: DarkroomError) -> str:
    """Return the stable code for an error that fails a training."""
    return FAILURE_CODES.get(type(error), "not_trainable")


def _check_still_ours(trainings: TrainingStore, training: Training) -> None:
    """Raise TrainingCancelled if the job was cancelled, or given to another worker while this one was stalled."""
    if trainings.command(training) in (TrainingCommand.CANCEL, TrainingCommand.LOST):
        raise TrainingCancelled("it was cancelled, or another worker has it now.")


def _judge(services: Services, training: Training) -> Judge:
    """Return what compares two versions: on the Dataset as it is now, or by their answers to CIFAR-10."""
    if training.dataset is None:
        return services.registry.compare
    return DatasetJudge(services, training.dataset)


def _train(services: Services, training: Training) -> str:
    """Train from the checkpoint or the beginning, publish the model, and return its version."""
    params = parse(training.params)
    if isinstance(params, HeadParams):
        return _train_head(services, training, params)
    if isinstance(params, FinetuneParams):
        return _finetune(services, training, params)
    return _train_network(services, training, cast(TrainingParams, params))


def _train_head(services: Services, training: Training, params: HeadParams) -> str:
    learnt, job = train_head(services, training, params), services.store.get(training.job_id)
    version = _publish(services, training, lambda out: publish_learnt(learnt, services.registry, job, out))
    expect_speed(services, version)
    try:
        report_on(services, learnt)
    except (NotFound, StorageFull, Unavailable) as error:
        log.warning("there is no report of training %s: %s", training.job_id, logs.with_cause(error))
    return version


def _finetune(services: Services, training: Training, params: FinetuneParams) -> str:
    job = services.store.get(training.job_id)
    frozen = freeze(services.blobs, services.dataset_pictures, training.job_id, str(training.dataset))
    prepared = prepare(services, frozen, params, job.owner)

    from worker.presets import finetune  # noqa: PLC0415 - TensorFlow takes seconds to load, see below
    from worker.training.publish_tuned import publish_better  # noqa: PLC0415
    from worker.training.train import train  # noqa: PLC0415

    preset = Preset(params, finetune.build)
    trained = train(preset, prepared.images, params, _callbacks(services, training, params), start=prepared.start)
    is_typical = params.frozen == FinetuneParams.model_fields["frozen"].default
    is_typical &= is_usual(services, prepared.learnt.backbone.version)
    _finished(services, training, trained, is_typical=is_typical)
    return _publish(services, training, lambda out: publish_better(trained, prepared, services.registry, job, out))


def _publish(services: Services, training: Training, publish: Callable[[Path], ModelCard]) -> str:
    """Publish the version that `publish` writes to a folder, unless another worker has the training; return it."""
    with tempfile.TemporaryDirectory(dir=services.blobs.temporary_folder, prefix=PUBLISH_PREFIX) as folder:
        card = publish(Path(folder))
        if not services.trainings.plan_version(training, card.version):
            raise TrainingCancelled("another worker has this training now.")
        services.registry.publish(Path(folder) / card.version)
    return card.version


def _train_network(services: Services, training: Training, params: TrainingParams) -> str:
    # TensorFlow takes seconds to load: report errors in the request and the data first.
    preset = PRESETS[params.preset]
    dataset, snapshot = _dataset(services, training, params)
    targets = _targets(services, training, params, dataset) if isinstance(params, DistilParams) else None
    base_file = services.registry.model_file(params.base) if params.base else None

    from worker.training.publish_trained import publish_trained  # noqa: PLC0415 - see above
    from worker.training.train import train  # noqa: PLC0415

    trained = train(preset, dataset, params, _callbacks(services, training, params), base=base_file, targets=targets)
    _finished(services, training, trained, is_typical=trained.model.count_params() == params.weights)
    measured = with_champion_score(services.registry, dataset)

    def publish(out: Path) -> ModelCard:
        card = publish_trained(trained, measured, out, params.base)
        if snapshot is not None:
            (out / card.version / SNAPSHOT_FILE).write_bytes(pack(snapshot))
        return card

    return _publish(services, training, publish)


def _callbacks(services: Services, training: Training, params: TrainingParams) -> Callbacks:
    from worker.training.loop import Callbacks  # noqa: PLC0415 - TensorFlow takes seconds to load

    speed = services.speeds.all().get(params.preset)
    rows = RowWriter(services.trainings, training, params.batch_size, speed.images_per_s if speed else 1)
    return Callbacks(
        on_start=rows.restore,
        on_row=rows.add,
        control=JobControl(services.trainings, training),
        checkpoint=BlobCheckpointStore(services.blobs, training.job_id),
    )


def _finished(services: Services, training: Training, trained: TrainedModel, *, is_typical: bool) -> None:
    """Record that no steps are left, log how the time was spent, and record the speed if it is that of the defaults."""
    write_row(services.trainings, training, row_record(trained.rows[-1]), 0, is_last=True)
    log.info("%s", trained.profile.summary)
    images_per_s = [row.images_per_s for row in trained.rows if row.step]
    if is_typical and images_per_s:
        services.speeds.record(trained.preset.name, Speed(statistics.median(images_per_s), socket.gethostname()))


def _targets(services: Services, training: Training, params: DistilParams, dataset: Dataset) -> Targets:
    """Return what the teacher answers for the training images, which it sees at the size of its own input.

    Raises InvalidRequest if the teacher does not suit the dataset, and what `_dataset` raises.
    """

    def make() -> Targets:
        teacher = load_teacher(services.registry, str(params.teacher), dataset.labels)
        seen = dataset if dataset.origin is None else _dataset(services, training, params, teacher.card.input)[0]
        if len(seen.x_train) != len(dataset.x_train):
            raise Unavailable("pictures of the dataset were deleted just now.")
        return soft_targets(teacher, seen.x_train, params.softness)

    return kept_targets(services.blobs, training.job_id, make)


def _dataset(
    services: Services, training: Training, params: TrainingParams, shape: Input = SHAPE
) -> tuple[Dataset, FrozenDataset | None]:
    """Return the images of the job, and the Snapshot that they come from if they are an owner's.

    The latter are squashed to `shape`.

    Raises DatasetUnusable, DatasetGone, TooFewPictures, TooFewCorrections, StorageFull and Unavailable.
    """
    owner, max_pixels = services.store.get(training.job_id).owner, services.settings.max_pixels
    if training.dataset is not None:
        snapshot = freeze(services.blobs, services.dataset_pictures, training.job_id, training.dataset)
        blocks = services.dataset_pictures.blocks(training.dataset)
        with ThreadPoolExecutor(hardware.cores()) as pool:
            stored = StoredPictures(services.blobs, training.dataset, max_pixels, pool)
            return images_of(snapshot, blocks, stored, params.dataset, owner, shape=shape), snapshot
    try:
        base = load_cifar10()
    except (NotFound, InvalidRequest) as error:
        raise DatasetUnusable(str(error)) from error
    if params.dataset != WITH_CORRECTIONS:
        return base, None
    corrected = freeze_corrections(services.blobs, services.corrections, training.job_id, owner, max_pixels)
    return with_corrections(base, corrected), None


def exit_with_parent(parent: int) -> None:
    """Exit as soon as the worker that started this process is gone: another worker takes the training over."""
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    os._exit(os.EX_TEMPFAIL)


def main(arguments: Sequence[str]) -> int:
    """Run the training job of the command line and return the exit status."""
    threading.Thread(target=exit_with_parent, args=(os.getppid(),), name="parent-check", daemon=True).start()
    logs.configure()
    os.nice(NICENESS)
    fence, job_id, *options = arguments
    with closing(Services.build(load_settings())) as services:
        job = services.store.get(job_id)
        with logs.job_context(job_id, job.request_id):
            training = Training(fence, job_id, job.params, job.request_id, job.dataset)
            return run(services, training, leave_without_data=bool(options))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
