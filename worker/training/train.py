"""Train a preset on a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from shared.domain.card import Epoch
from shared.domain.errors import Conflict
from shared.training.presets import TrainingParams
from worker import hardware
from worker.data.augment import Augmentation, Batches
from worker.data.datasets import Dataset
from worker.presets import Preset, Setup
from worker.training.loop import Run, Watch
from worker.training.progress import Profile, Row


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A network with the weights that did best on the validation images, and what is known of how it was made.

    `model` gives logits; `setup` is what it was built from. `profile` is about this process; `seconds` counts those
    before it too, where the training was interrupted.
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

    @property
    def seed(self) -> int:
        """The seed of all random draws."""
        return self.setup.seed


def train(
    preset: Preset[Any],
    dataset: Dataset,
    seed: int,
    params: TrainingParams | None = None,
    watch: Watch | None = None,
    *,
    base: Path | None = None,
) -> TrainedModel:
    """Train `preset` on the training images and return it with the weights of its best epoch.

    `params` replaces the preset's own hyperparameters; `base` is the file of a published model of the same preset and
    size whose weights to begin with. Which epoch is best, and when to stop for want of a better one, follows from the
    validation images.

    The same arguments give the same weights, bit for bit, even if the training is interrupted and resumes from the
    checkpoint in `watch`. This holds on one kind of processor and for one number of TensorFlow's threads (by default
    the cores that the process may use): sums are split among the threads, so another number rounds differently. Sets
    the random state of the whole process and makes TensorFlow's operations deterministic from here on.

    Raises TrainingDiverged where the loss stops being a number, TrainingCancelled where the control says so, and
    Conflict where the checkpoint is of another run or `base` of another network.
    """
    params, watch = params or preset.params, watch or Watch()
    _make_deterministic(seed)
    batches = _batches(dataset, params, seed)
    setup = Setup(
        seed, batches.steps, dataset.x_train, len(dataset.labels), precision=hardware.precision(params.precision)
    )
    model = preset.build(params, setup)
    if base:
        _begin_with(model, base)
    identity = _identity(preset, dataset, params, setup) | {"base": base and base.parent.name}
    run = Run(
        model,
        batches,
        dataset,
        watch,
        epochs=params.epochs,
        patience=params.patience,
        identity=identity,
    )
    best, progress = run.go(), run.progress
    return TrainedModel(
        model=model,
        preset=preset,
        params=params,
        setup=setup,
        history=tuple(progress.history),
        rows=tuple(progress.rows),
        best_epoch=best.epoch,
        seconds=round(progress.seconds, 1),
        profile=run.profile,
    )


def _make_deterministic(seed: int) -> None:
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf  # noqa: PLC0415 - JAX has no need of it

        tf.config.experimental.enable_op_determinism()


def _batches(dataset: Dataset, params: TrainingParams, seed: int) -> Batches:
    how = Augmentation(params.flip, params.translate, params.brightness, params.contrast)
    return Batches(
        dataset.x_train,
        dataset.y_train,
        classes=len(dataset.labels),
        batch_size=params.batch_size,
        seed=seed,
        how=how if params.augment else Augmentation(),
    )


def _begin_with(model: Any, base: Path) -> None:
    weights = keras.saving.load_model(base, compile=False, safe_mode=True).get_weights()
    if [array.shape for array in weights] != [array.shape for array in model.get_weights()]:
        raise Conflict(f"The model {base.parent.name} is another network: its weights do not fit this preset's.")
    model.set_weights(weights)


def _identity(preset: Preset[Any], dataset: Dataset, params: TrainingParams, setup: Setup) -> dict[str, Any]:
    """Return what two runs must have in common to have the same steps."""
    return {
        "preset": preset.name,
        "params": params.hyperparameters(),
        "seed": setup.seed,
        "precision": setup.precision,
        "dataset": dataset.digest,
        "images": len(dataset.x_train),
    }
