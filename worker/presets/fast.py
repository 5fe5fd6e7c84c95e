"""Preset `fast`: a small network that learns CIFAR-10 in eight epochs.

Whitening, three blocks of two convolutions, Muon: the design of `airbench94_muon.py` in KellerJordan/cifar10-airbench
(K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024, arXiv:2404.00498), with a quarter more filters. The
hyperparameters are those that the search of hiverge/cifar10-speedrun found for it. The figures of five seeds, and of
what was tried before, are in docs/decisions/0013-fast.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from shared.training.param_schema import Choice, Integer, Number
from worker.presets.base import (
    Augment,
    BatchSize,
    Brightness,
    Contrast,
    Epochs,
    Flip,
    LearningRate,
    Params,
    Preset,
    Setup,
    Smoothing,
    Translate,
    compiled,
)
from worker.presets.whitening import channel_statistics, whitening_filters
from worker.presets.work import CHANNELS, CLASSES, SIDE, Layer, convolution, dense, norm

Width = Annotated[int, Integer("filters of each convolution of the block", 4, 2048)]
Rate = Annotated[float, Number("step size of SGD at its greatest, for the summed loss of a batch", 1e-6, 10)]
Momentum = Annotated[float, Number("share of the last step's direction that is kept", 0, 0.999)]

#: Added to the variance in batch normalisation. Next to nothing, since filters of a fixed norm keep it from vanishing.
EPSILON = 1e-12

#: Side of the whitening filters, in pixels.
PATCH = 2


@dataclass(frozen=True, kw_only=True)
class FastParams(Params):
    """The hyperparameters of `fast`; every one of them as in the search's result unless a comment says otherwise."""

    # The step size falls linearly to zero over them.
    epochs: Epochs = 8

    # Muon wants few large steps.
    batch_size: BatchSize = 1536

    # Of Muon, for filters that are kept at norm √(number of filters).
    learning_rate: LearningRate = 0.205

    # Mirrored in turns, and shifted.
    augment: Augment = True

    # Confidence is put right after the training, by a temperature.
    label_smoothing: Smoothing = 0.09

    # By chance in the first epoch, and the other way round in every second one: each image is seen both ways as
    # often, which chance alone would not do in eight epochs (arXiv:2404.00498, section 3.6).
    flip: Flip = "alternate"

    # More hides objects at the edge.
    translate: Translate = 2

    # Each image brighter or darker by up to this share of the range of values.
    brightness: Brightness = 0.035

    # Each image's distance from grey multiplied by a number that differs from 1 by up to this.
    contrast: Contrast = 0.13

    # On 31 × 31 places. The source has 64.
    width1: Width = 80

    # On 15 × 15 places. The source has 256.
    width2: Width = 320

    # On 7 × 7 places. The source has 256.
    width3: Width = 320

    # Of Muon, Nesterov's.
    momentum: Momentum = 0.655

    # Of Muon: more of them cost time, and gain nothing.
    newton_schulz_steps: Annotated[int, Integer("iterations that orthogonalise a filter's step", 1, 10)] = 3

    # Of the biases in batch normalisation and in the whitening layer.
    bias_learning_rate: Rate = 0.0573

    # Of the last, dense layer, whose outputs are divided by the number of its inputs.
    head_learning_rate: Rate = 0.5415

    # Of SGD, Nesterov's.
    sgd_momentum: Momentum = 0.825

    # Times the batch size: 0.0016 per step of 1,536 images, on biases and the head.
    weight_decay: Annotated[float, Number("share of a weight taken off per image and step, by SGD", 0, 0.1)] = 1.0418e-6

    # The whitening layer's bias is trained in the first of them, with a step size that falls to zero.
    whitening_epochs: Annotated[int, Integer("epochs in which the first layer's bias is trained", 1, 1000)] = 1

    # Running statistics must follow weights that change fast.
    norm_momentum: Annotated[float, Number("of the running statistics of batch normalisation", 0, 0.999)] = 0.5566

    # Learns as well as GELU, and is cheaper.
    activation: Annotated[str, Choice("what follows every normalisation", ("gelu", "silu", "relu"))] = "silu"


def build(params: FastParams, setup: Setup) -> Any:
    """Return the compiled, freshly initialised network; see `Preset`. Images must be at least 26 pixels a side."""
    network = _network(params, setup)
    _initialise(network, np.random.default_rng(setup.seed), setup)
    return compiled(network, _optimizer(params, setup), params)


def _network(params: FastParams, setup: Setup) -> Any:
    import keras  # noqa: PLC0415 - listing the presets must not load TensorFlow

    layers, precision = keras.layers, setup.precision
    mean, deviation = channel_statistics(setup.images)
    channels = setup.images.shape[-1]
    return keras.Sequential(
        [
            keras.Input(setup.images.shape[1:], dtype="float32"),
            layers.Rescaling([1 / d for d in deviation], [-m / d for m, d in zip(mean, deviation, strict=True)]),
            layers.Conv2D(2 * PATCH * PATCH * channels, PATCH, name="whitening", dtype=precision),
            layers.Activation(params.activation, dtype=precision),
            *_block(params, params.width1, precision),
            *_block(params, params.width2, precision),
            *_block(params, params.width3, precision),
            layers.MaxPooling2D(3, dtype=precision),
            layers.Flatten(dtype="float32"),
            layers.Dense(setup.classes, use_bias=False, name="head", dtype="float32"),
            layers.Rescaling(1 / params.width3),
        ],
        name="fast",
    )


def _block(params: FastParams, width: int, precision: str) -> Iterator[Any]:
    """Two convolutions, the first of which halves the side; both normalised without a scale, which Muon replaces."""
    from keras import layers  # noqa: PLC0415 - listing the presets must not load TensorFlow

    for half in (True, False):
        yield layers.Conv2D(width, 3, padding="same", use_bias=False, dtype=precision)
        if half:
            yield layers.MaxPooling2D(2, dtype=precision)
        yield layers.BatchNormalization(momentum=params.norm_momentum, epsilon=EPSILON, scale=False, dtype=precision)
        yield layers.Activation(params.activation, dtype=precision)


def _initialise(network: Any, generator: np.random.Generator, setup: Setup) -> None:
    """Give every layer its first weights. By hand: a published model could not be loaded with initialisers of ours."""
    first, *others = [layer for layer in network.layers if len(getattr(layer, "kernel", np.zeros(0)).shape) == 4]
    first.kernel.assign(whitening_filters(setup.images, PATCH))
    first.kernel.trainable = False
    bound = 1 / np.prod(first.kernel.shape[:3]) ** 0.5
    first.bias.assign(generator.uniform(-bound, bound, first.bias.shape))
    for layer in others:
        layer.kernel.assign(identity_filters(generator, layer.kernel.shape))
    head = network.get_layer("head")
    head.kernel.assign(generator.uniform(-(3**0.5), 3**0.5, head.kernel.shape))  # variance 1


def identity_filters(generator: np.random.Generator, shape: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """Return a kernel (height, width, in, out) that passes its inputs on as its first `in` outputs.

    The other outputs are random, uniform within ±1/√(height·width·in), as PyTorch starts a convolution.
    """
    height, width, inputs, outputs = shape
    bound = (height * width * inputs) ** -0.5
    kernel = generator.uniform(-bound, bound, shape).astype(np.float32)
    kernel[..., :inputs] = 0
    passed = np.arange(min(inputs, outputs))
    kernel[height // 2, width // 2, passed, passed] = 1
    return kernel


def _optimizer(params: FastParams, setup: Setup) -> Any:
    from keras.optimizers.schedules import PolynomialDecay  # noqa: PLC0415 - as above

    from worker.presets.muon import Group, Muon  # noqa: PLC0415 - as above

    steps = setup.steps_per_epoch
    decay, momentum = params.weight_decay * params.batch_size, params.sgd_momentum
    return Muon(
        PolynomialDecay(params.learning_rate, params.epochs * steps, 0.0),
        params.momentum,
        params.newton_schulz_steps,
        groups=(
            Group("whitening", params.bias_learning_rate, momentum, decay, params.whitening_epochs * steps),
            Group("normalization", params.bias_learning_rate, momentum, decay),
            Group("head", params.head_learning_rate, momentum, decay),
        ),
        batch_size=params.batch_size,
    )


def work(params: FastParams) -> Iterator[Layer]:
    """Describe the layers of the network; see `Preset`."""
    side, inputs = SIDE - PATCH + 1, 2 * PATCH * PATCH * CHANNELS
    yield convolution(side, PATCH, CHANNELS, inputs, bias=True)
    for width in (params.width1, params.width2, params.width3):
        yield convolution(side, 3, inputs, width)
        side //= 2
        yield convolution(side, 3, width, width)
        yield from (norm(width, scale=False) for _ in range(2))
        inputs = width
    yield dense((side // 3) ** 2 * inputs, CLASSES, bias=False)


FAST = Preset(
    name="fast",
    summary="Whitening, six convolutions and the Muon optimizer, in eight epochs",
    params=FastParams(),
    build=build,
    work=work,
    efficiency=0.6,
)
