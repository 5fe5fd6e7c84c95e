"""Preset `seed`: two convolutions and two dense layers, trained in minutes."""

from __future__ import annotations

from typing import Any

from shared.training.presets import SeedParams
from worker.presets.base import Preset, Setup, compiled


def side_used(side: int, params: SeedParams) -> int:
    """Return how many of `side` rows, or columns, reach the dense layers.

    Pooling drops the last rows that do not fill a square, and with them the pixels that only they depend on.
    """
    margin, pool = params.kernel_size - 1, params.pool_size
    pooled = ((side - margin) // pool - margin) // pool
    return (pooled * pool + margin) * pool + margin


def build(params: SeedParams, setup: Setup) -> Any:
    """Return the compiled, freshly initialised network; see `Preset`."""
    import keras  # noqa: PLC0415 - listing the presets must not load TensorFlow

    layers = keras.layers
    keras.utils.set_random_seed(setup.seed)
    unused = tuple((0, side - side_used(side, params)) for side in setup.images.shape[1:3])
    network = keras.Sequential(
        [
            keras.Input(setup.images.shape[1:], dtype="float32"),
            layers.Cropping2D(unused),
            layers.Rescaling(1 / 255),
            # ReLU after pooling has the same result as before it, with less work.
            layers.Conv2D(params.first_filters, params.kernel_size, dtype=setup.precision),
            layers.MaxPooling2D(params.pool_size),
            layers.ReLU(),
            layers.Conv2D(params.second_filters, params.kernel_size, dtype=setup.precision),
            layers.MaxPooling2D(params.pool_size),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(params.hidden_units, activation="relu", dtype=setup.precision),
            layers.Dense(setup.classes, dtype="float32"),
        ],
        name="seed",
    )
    return compiled(network, keras.optimizers.Adam(params.learning_rate), params)


SEED = Preset(SeedParams(), build)
