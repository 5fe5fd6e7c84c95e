"""Preset `seed`: two convolutions and two dense layers, the small network that Darkroom ships with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from worker.presets.base import Params, Preset


@dataclass(frozen=True, kw_only=True)
class SeedParams(Params):
    """The hyperparameters of `seed`."""

    #: Passes over the training images.
    epochs: int = 8

    #: Images per gradient step. After 8 epochs, on 2,000 validation images, with two seeds each on two cores:
    #: 32 gave 68.2 % and 68.5 % (151 and 131 s), 64 gave 65.1 % and 66.6 % (128 and 145 s), 128 gave 66.4 % and 66.0 %
    #: (86 and 124 s; the cores were shared, so the times are rough).
    batch_size: int = 32

    #: Adam's step size; Keras's default.
    learning_rate: float = 1e-3

    #: Filters of the first convolution.
    first_filters: int = 32

    #: Filters of the second convolution.
    second_filters: int = 64

    #: Side of each square filter, in pixels.
    kernel_size: int = 3

    #: Side of the square over which each pooling layer takes the greatest value, in pixels.
    pool_size: int = 2

    #: Units of the hidden dense layer.
    hidden_units: int = 64

    #: Side of the square images, in pixels.
    image_size: int = 32

    #: Classes to tell apart.
    classes: int = 10


def build(params: SeedParams) -> Any:
    """Return the compiled, freshly initialised network: uint8 (n, 32, 32, 3) → probabilities (n, 10), float32."""
    import keras  # noqa: PLC0415 - listing the presets must not load TensorFlow

    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((params.image_size, params.image_size, 3), dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(params.first_filters, params.kernel_size, activation="relu"),
            layers.MaxPooling2D(params.pool_size),
            layers.Conv2D(params.second_filters, params.kernel_size, activation="relu"),
            layers.MaxPooling2D(params.pool_size),
            layers.Flatten(),
            layers.Dense(params.hidden_units, activation="relu"),
            layers.Dense(params.classes, activation="softmax"),
        ],
        name="seed",
    )
    network.compile(
        optimizer=keras.optimizers.Adam(params.learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return network


SEED = Preset(
    name="seed",
    summary="Two convolutions, two dense layers: small, trained in minutes on two cores",
    params=SeedParams(),
    build=build,
)
