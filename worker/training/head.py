"""Train preset `head`: a linear classifier on the Embeddings of a Dataset's pictures."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.datasets.embeddings import Vectors
from shared.domain.classifier import EVERYDAY
from shared.domain.entities import Training
from shared.domain.times import rfc3339
from shared.jobs.trainings import TrainingCommand, TrainingStore
from shared.services import Services
from shared.training.presets import HeadParams
from worker import hardware
from worker.datasets.embedder import Embedder
from worker.datasets.snapshot import FrozenDataset, TooFewPictures, freeze
from worker.heads.fit import FittedHead, Progress, fit_head
from worker.serving.backbone import Backbone, Backbones, find_backbone
from worker.training.progress import TrainingCancelled
from worker.training.report_basis import Basis
from worker.training.rows import write_row

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class LearntHead:
    """A fitted Head with the pictures that it learnt from and the Embeddings (n, dimensions) of them all.

    `basis` has the choices that it took over from an earlier report, if it did. `views` of each picture were
    learnt from besides the picture.
    """

    fitted: FittedHead
    backbone: Backbone
    frozen: FrozenDataset
    vectors: Any
    seconds: float
    basis: Basis | None = None
    views: int = 0


def train_head(services: Services, training: Training, params: HeadParams) -> LearntHead:
    """Return a Head that has learnt from the training's Dataset as it was at its first start.

    Raise TrainingCancelled, DatasetGone, TooFewPictures, ModelUnusable without a Backbone, StorageFull, Unavailable.
    """
    frozen = freeze(services.blobs, services.dataset_pictures, training.job_id, str(training.dataset))
    report = _Report(services.trainings, training, len(frozen.numbers))
    return learn(services, frozen, params.seed, report.embedded, report.tried, network=params.backbone)


def learn(
    services: Services,
    frozen: FrozenDataset,
    seed: int,
    embedded: Callable[[int], object] = lambda _: None,
    tried: Callable[[Progress], object] = lambda _: None,
    *,
    network: str = EVERYDAY.name,
    basis: Basis | None = None,
) -> LearntHead:
    """Return a Head that has learnt from a Snapshot; `network` is the name of its Backbone.

    Two functions are called with the progress of both halves. If the pictures and Labels are nearly those of a
    `basis`, its choices are taken over. Raise TooFewPictures, ModelUnusable without the Backbone, Unavailable.
    """
    started = time.monotonic()
    version = find_backbone(services.registry, network).version
    backbone = Backbones(services.registry, hardware.cores()).get(version)
    vectors = embed(services, backbone, frozen, embedded)
    gone: NDArray[np.bool_] = np.all(vectors == 0, axis=1)
    frozen, vectors = frozen.without(gone), vectors[~gone]
    learnt = ~frozen.test
    if len(np.unique(frozen.truth[learnt])) < 2:
        raise TooFewPictures("fewer than two labels have pictures to learn from.")
    if basis is not None and basis.suits(frozen, backbone.version):
        return LearntHead(basis.refit(frozen, vectors), backbone, frozen, vectors, time.monotonic() - started, basis)
    fitted = fit_head(
        vectors[learnt],
        frozen.truth[learnt],
        len(frozen.labels),
        seed=seed,
        groups=frozen.groups[learnt],
        progress=tried,
    )
    return LearntHead(fitted, backbone, frozen, vectors, time.monotonic() - started)


def embed(
    services: Services,
    backbone: Backbone,
    frozen: FrozenDataset,
    progress: Callable[[int], object] = lambda _: None,
) -> Vectors:
    """Return the Embeddings (n, dimensions) of a Dataset's pictures, zeros for those that are deleted by now."""
    max_pixels = services.settings.max_pixels
    with ThreadPoolExecutor(hardware.cores()) as pool:
        parts = services.blobs, services.dataset_pictures, services.dataset_sweep
        embedder = Embedder(*parts, backbone, max_pixels, pool, progress)
        return embedder.embed(frozen, services.dataset_pictures.blocks(frozen.dataset))


@dataclass
class _Report:
    """Writes rows, and stops the training if that was asked for.

    The first half of the steps are the pictures whose Embeddings are there, the second half is the fit.
    """

    trainings: TrainingStore
    training: Training
    pictures: int
    started: float = field(default_factory=time.monotonic)
    rows: int = 0
    step: int = 0

    def embedded(self, count: int) -> None:
        """Count pictures whose Embeddings are there."""
        self.step += count
        self._write(None)

    def tried(self, progress: Progress) -> None:
        """Show what a method achieved on held-out pictures."""
        self.step = self.pictures + self.pictures * progress.done // progress.steps
        self._write(progress)

    def _write(self, progress: Progress | None) -> None:
        steps = 2 * self.pictures
        if self.trainings.command(self.training) in (TrainingCommand.CANCEL, TrainingCommand.LOST):
            raise TrainingCancelled("it was cancelled, or another worker has it now.")
        self.rows += 1
        seconds, tried = time.monotonic() - self.started, progress.tried if progress else None
        row = {
            "n": self.rows,
            "epoch": 1,
            "step": self.step,
            "steps": steps,
            "loss": None,
            "accuracy": None,
            "val_loss": tried.loss if tried else None,
            "val_accuracy": tried.accuracy if tried else None,
            "lr": None,
            "images_per_s": round(self.step / max(seconds, 1e-3), 1),
            "at": rfc3339(time.time()),
        }
        write_row(self.trainings, self.training, row, seconds * (steps - self.step) / max(self.step, 1))
