"""Train a preset on a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from shared.domain.card import Epoch
from shared.domain.errors import Conflict
from shared.training.presets import FinetuneParams, TrainingParams
from worker import hardware
from worker.data.augment import Augmentation, Batches
from worker.data.datasets import Dataset
from worker.presets import Preset, Setup, Start
from worker.training.loop import Callbacks, TrainingLoop
from worker.training.progress import Profile, Row


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A network with its best weights on the validation images, and how it was trained.

    `model` outputs logits; `setup` is what it was built from. `profile` covers this process only, `seconds` also those
    before a resume.
    """

    model: Any
    preset: Preset[Any]
    params: TrainingParams
    setup: Setup
    history: tuple[Epoch, ...]
    rows: tuple[Row, ...]
    best_epoch: int
    seconds: float
    profile: Profile


def train(
    preset: Preset[Any],
    dataset: Dataset,
    params: TrainingParams | None = None,
    callbacks: Callbacks | None = None,
    *,
    base: Path | None = None,
    start: Start | None = None,
    targets: NDArray[np.float32] | None = None,
) -> TrainedModel:
    """Train `preset` on the training images and return it with the weights of its best epoch.

    `params` replaces the preset's defaults; `base` is the file of a published model of the same preset and
    size whose weights to start from. `targets` (n, classes) are what the network should answer for the training images,
    by default its labels, one-hot. The validation images decide which epoch is best and when to stop early. With a
    `start`, the network is validated before the first step too; if no epoch is better than that, `best_epoch` is 0.

    The same arguments give the same weights, bit for bit, even if the training is interrupted and resumes from its
    checkpoint. This holds for one type of processor and one number of TensorFlow threads (by default the cores that the
    process may use): sums are split among the threads, so another number rounds differently. Sets the random state of
    the whole process and makes TensorFlow's operations deterministic from here on.

    Raises TrainingDiverged if the loss becomes NaN or infinite, TrainingCancelled if the control commands it, and
    Conflict if the checkpoint belongs to another run or `base` is another network.
    """
    params, callbacks = params or preset.params, callbacks or Callbacks()
    _make_deterministic(params.seed)
    batches = _batches(dataset, targets, params)
    precision = hardware.precision(params.precision)
    setup = Setup(params.seed, batches.steps, dataset.x_train, len(dataset.labels), precision, start)
    model = preset.build(params, setup)
    if base:
        _load_weights(model, base)
    identity = _identity(preset, dataset, params, setup) | {"base": base and base.parent.name}
    loop = TrainingLoop(
        model,
        batches,
        dataset,
        callbacks,
        epochs=params.epochs,
        patience=params.patience,
        identity=identity,
        has_start=start is not None,
    )
    best, progress = loop.run(), loop.progress
    return TrainedModel(
        model=model,
        preset=preset,
        params=params,
        setup=setup,
        history=tuple(progress.history),
        rows=tuple(progress.rows),
        best_epoch=best.epoch,
        seconds=round(progress.seconds, 1),
        profile=loop.profile,
    )


def _make_deterministic(seed: int) -> None:
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()  # 4 % of the time of preset `seed` on two cores


def _batches(dataset: Dataset, targets: NDArray[np.float32] | None, params: TrainingParams) -> Batches:
    if targets is None:
        targets = np.eye(len(dataset.labels), dtype=np.float32)[dataset.y_train]
    crop = params.crop if isinstance(params, FinetuneParams) else 1.0
    augmentation = Augmentation(params.flip, params.translate, crop, params.brightness, params.contrast)
    return Batches(
        dataset.x_train,
        targets,
        batch_size=params.batch_size,
        seed=params.seed,
        augmentation=augmentation if params.augment else Augmentation(),
    )


def _load_weights(model: Any, base: Path) -> None:
    weights = keras.saving.load_model(base, compile=False, safe_mode=True).get_weights()
    if [array.shape for array in weights] != [array.shape for array in model.get_weights()]:
        raise Conflict(f"The model {base.parent.name} is another network: its weights do not fit this preset.")
    model.set_weights(weights)


def _identity(preset: Preset[Any], dataset: Dataset, params: TrainingParams, setup: Setup) -> dict[str, Any]:
    """Return what two runs must have in common to take the same steps."""
    return {
        "preset": preset.name,
        "params": params.hyperparameters(),
        "seed": setup.seed,
        "precision": setup.precision,
        "dataset": dataset.digest,
        "images": len(dataset.x_train),
    }
