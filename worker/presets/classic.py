"""Preset `classic`: the textbook network, with batch normalisation, dropout and augmentation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from shared.training.param_schema import Integer, Number
from worker.presets.base import (
    Augment,
    BatchSize,
    Epochs,
    LearningRate,
    Params,
    Patience,
    Preset,
    Setup,
    Smoothing,
    compiled,
)
from worker.presets.work import CHANNELS, CLASSES, SIDE, Layer, convolution, dense, norm


@dataclass(frozen=True, kw_only=True)
class ClassicParams(Params):
    """The hyperparameters of `classic`."""

    # The step size falls to zero over them, so fewer of them still end well.
    epochs: Epochs = 20

    # Large enough for steady statistics of batch normalisation.
    batch_size: BatchSize = 128

    # Of AdamW; falls to zero along a cosine.
    learning_rate: LearningRate = 2e-3

    # Mirror images and shifts: without them dropout alone does not stop the network from learning by heart.
    augment: Augment = True

    # A little: the labels of CIFAR-10 are nearly all right.
    label_smoothing: Smoothing = 0.05

    # None: with a step size that falls to zero the last epochs are the best.
    patience: Patience = 0

    # Filters double where the image halves: 32, 64 and 128.
    width: Annotated[int, Integer("filters of the first two convolutions", 4, 512)] = 32

    # Share of the values after the first block that is dropped; each block after it drops this much more.
    dropout: Annotated[float, Number("share of values dropped after the first block, more after the next", 0, 0.3)] = (
        0.1
    )

    # Of AdamW, on kernels and biases alike.
    weight_decay: Annotated[float, Number("pull of the weights towards zero, per step and step size", 0, 1)] = 5e-3

    # Keras's default, 0.99, lags behind weights that change fast.
    momentum: Annotated[float, Number("of the running statistics of batch normalisation", 0, 0.999)] = 0.9


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
    """Two convolutions of the same width, each normalised; then half the side, and dropout."""
    from keras import layers  # noqa: PLC0415 - listing the presets must not load TensorFlow

    for _ in range(2):
        yield layers.Conv2D(params.width * 2**block, 3, padding="same", use_bias=False, dtype=precision)
        yield layers.BatchNormalization(momentum=params.momentum, dtype=precision)
        yield layers.Activation("relu", dtype=precision)
    yield layers.MaxPooling2D(2, dtype=precision)
    yield layers.Dropout(params.dropout * (block + 1), dtype=precision)


def work(params: ClassicParams) -> Iterator[Layer]:
    """Describe the layers of the network; see `Preset`."""
    inputs = CHANNELS
    for block in range(3):
        width = params.width * 2**block
        for _ in range(2):
            yield convolution(SIDE // 2**block, 3, inputs, width)
            yield norm(width)
            inputs = width
    yield dense(inputs, CLASSES)


CLASSIC = Preset(
    name="classic",
    summary="Six convolutions with batch normalisation, dropout and augmentation: the textbook recipe",
    params=ClassicParams(),
    build=build,
    work=work,
    efficiency=0.5,
)
