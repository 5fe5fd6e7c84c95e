"""Preset `classic`: the textbook network, with batch normalisation, dropout and augmentation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shared.training.presets import ClassicParams
from worker.presets.base import Preset, Setup, compiled


def build(params: ClassicParams, setup: Setup) -> Any:
    """Return the compiled, freshly initialised network; see `Preset`."""
    import keras  # noqa: PLC0415 - listing the presets must not load TensorFlow

    keras.utils.set_random_seed(setup.seed)
    network = keras.Sequential(
        [
            keras.Input(setup.images.shape[1:], dtype="float32"),
            keras.layers.Rescaling(1 / 127.5, -1),
            *(layer for block in range(3) for layer in _block(params, block, setup.precision)),
            keras.layers.GlobalAveragePooling2D(dtype="float32"),
            keras.layers.Dense(setup.classes, dtype="float32"),
        ],
        name="classic",
    )
    steps = params.epochs * setup.steps_per_epoch
    schedule = keras.optimizers.schedules.CosineDecay(params.learning_rate, steps)
    return compiled(network, keras.optimizers.AdamW(schedule, params.weight_decay), params)


def _block(params: ClassicParams, block: int, precision: str) -> Iterator[Any]:
    """Yield two normalised convolutions of the same width, then pooling that halves the side, and dropout."""
    from keras import layers  # noqa: PLC0415 - listing the presets must not load TensorFlow

    for _ in range(2):
        yield layers.Conv2D(params.width * 2**block, 3, padding="same", use_bias=False, dtype=precision)
        yield layers.BatchNormalization(momentum=params.momentum, dtype=precision)
        yield layers.Activation("relu", dtype=precision)
    yield layers.MaxPooling2D(2, dtype=precision)
    yield layers.Dropout(params.dropout * (block + 1), dtype=precision)


CLASSIC = Preset(ClassicParams(), build)
