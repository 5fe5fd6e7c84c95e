"""Preset `seed`: two convolutions and two dense layers, the small network that Darkroom ships with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from shared.training.param_schema import Integer
from worker.presets.base import (
    Augment,
    BatchSize,
    Epochs,
    LearningRate,
    Params,
    Precision,
    Preset,
    Setup,
    Smoothing,
    compiled,
)
from worker.presets.work import CHANNELS, CLASSES, SIDE, Layer, convolution, dense


@dataclass(frozen=True, kw_only=True)
class SeedParams(Params):
    """The hyperparameters of `seed`."""

    # As long as the network that it is compared with was trained.
    epochs: Epochs = 8

    # After 8 epochs, on 2,000 validation images, with two seeds each on two cores: 32 gave 68.2 % and 68.5 % (151 and
    # 131 s), 64 gave 65.1 % and 66.6 % (128 and 145 s), 128 gave 66.4 % and 66.0 % (86 and 124 s; the cores were
    # shared, so the times are rough).
    batch_size: BatchSize = 32

    # Of Adam, constant; Keras's default.
    learning_rate: LearningRate = 1e-3

    # The network is too small to learn its images by heart in so few epochs.
    augment: Augment = False

    # For the same reason.
    label_smoothing: Smoothing = 0.0

    # Batches this small gain nothing from bfloat16.
    precision: Precision = "float32"

    # Wide enough for edges and colours.
    first_filters: Annotated[int, Integer("filters of the first convolution", 1, 1024)] = 32

    # Twice as many, where the image has a quarter of the places.
    second_filters: Annotated[int, Integer("filters of the second convolution", 1, 1024)] = 64

    # The smallest with a centre and all its neighbours.
    kernel_size: Annotated[int, Integer("side of each square filter", 1, 5, "pixels")] = 3

    # Halves the image each time.
    pool_size: Annotated[int, Integer("side of the square whose greatest value pooling keeps", 1, 3, "pixels")] = 2

    # Most of the weights are between the images' places and these.
    hidden_units: Annotated[int, Integer("units of the hidden dense layer", 1, 4096)] = 64


def side_used(side: int, params: SeedParams) -> int:
    """Return how many of `side` rows, or columns, reach the dense layers.

    Pooling drops the last ones where they fill no square, and so what only they were computed from.
    """
    margin, pool = params.kernel_size - 1, params.pool_size
    pooled = ((side - margin) // pool - margin) // pool
    return (pooled * pool + margin) * pool + margin


def build(params: SeedParams, setup: Setup) -> Any:
    """Return the compiled, freshly initialised network; see `Preset`."""
    import keras  # noqa: PLC0415 - listing the presets must not load TensorFlow

    from worker.presets.adam import FusedAdam  # noqa: PLC0415 - the same

    layers = keras.layers
    keras.utils.set_random_seed(setup.seed)
    unused = tuple((0, side - side_used(side, params)) for side in setup.images.shape[1:3])
    network = keras.Sequential(
        [
            keras.Input(setup.images.shape[1:], dtype="float32"),
            layers.Cropping2D(unused),
            layers.Rescaling(1 / 255),
            # ReLU after pooling gives the same as before it, and has less to do.
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
    return compiled(network, FusedAdam(params.learning_rate), params)


def work(params: SeedParams) -> Iterator[Layer]:
    """Describe the layers of the network; see `Preset`."""
    side, inputs = side_used(SIDE, params), CHANNELS
    for filters in (params.first_filters, params.second_filters):
        side -= params.kernel_size - 1
        yield convolution(side, params.kernel_size, inputs, filters, bias=True)
        side, inputs = side // params.pool_size, filters
    yield dense(side**2 * inputs, params.hidden_units)
    yield dense(params.hidden_units, CLASSES)


SEED = Preset(
    name="seed",
    summary="Two convolutions, two dense layers: small, trained in minutes on two cores",
    params=SeedParams(),
    build=build,
    work=work,
    efficiency=0.38,
    divisible=True,
)
