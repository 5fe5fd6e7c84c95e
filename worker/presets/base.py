"""What a preset is: a network, and the parameters that it is built and trained with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from shared.domain.preprocessing import Preprocessing
from shared.training.presets import TrainingParams
from worker.hardware import on_accelerator


@dataclass(frozen=True, eq=False)
class Start:
    """A Backbone's `.keras` file with its preprocessing, and the last layer that it gets.

    `weights` are (d, classes), `bias` (classes,).
    """

    backbone: Path
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    preprocessing: Preprocessing = field(default_factory=Preprocessing)


@dataclass(frozen=True, eq=False)
class Setup:
    """What a network is built from besides its parameters.

    `images` are the training images, uint8 (n, height, width, 3), for the statistics that a layer starts from.
    `precision` is Keras's name of the arithmetic, `float32` or `mixed_bfloat16`. `start` is what a pretrained network
    starts from.
    """

    seed: int
    steps_per_epoch: int
    images: NDArray[np.uint8]
    classes: int
    precision: str = "float32"
    start: Start | None = None


def compiled(network: Any, optimizer: Any, params: TrainingParams) -> Any:
    """Return the Keras model ready to learn one-hot targets (n, classes) from its logits, by cross-entropy in nats."""
    import keras  # noqa: PLC0415 - listing the presets must not load TensorFlow

    network.compile(
        optimizer=optimizer,
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=params.label_smoothing),
        metrics=["accuracy"],
        jit_compile=on_accelerator(),
    )
    return network


P = TypeVar("P", bound=TrainingParams)


@dataclass(frozen=True)
class Preset(Generic[P]):
    """A named recipe, with its default parameters.

    `build` returns a compiled `keras.Model` that maps RGB images (n, height, width, 3), values 0 to 255, to logits
    (n, classes), float32, through built-in layers only; it learns from one-hot targets. It imports Keras itself, so
    that listing the presets does not load TensorFlow.
    """

    params: P
    build: Callable[[P, Setup], Any]

    @property
    def name(self) -> str:
        """The preset's name."""
        return self.params.preset
