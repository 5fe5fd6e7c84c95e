"""Preset `fast`: a small network that learns CIFAR-10 in eight epochs.

Whitening, three blocks of two convolutions, Muon: the design of `airbench94_muon.py` in KellerJordan/cifar10-airbench
(K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024, arXiv:2404.00498), with a quarter more filters. The
hyperparameters are those that the search of hiverge/cifar10-speedrun found for it. docs/decisions/0013-fast.md has the
figures of five seeds and of earlier trials.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.training.presets import DistilParams, FastParams, WideParams
from worker.presets.base import Preset, Setup, compiled
from worker.presets.whitening import channel_statistics, whitening_filters

#: Added to the variance in batch normalisation. Tiny, since filters of a fixed norm keep the variance from vanishing.
EPSILON = 1e-12

#: Side of the whitening filters, in pixels.
PATCH = 2


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
    """Yield two convolutions, the first halving the side; normalised without a scale, which Muon replaces."""
    from keras import layers  # noqa: PLC0415 - listing the presets must not load TensorFlow

    for half in (True, False):
        yield layers.Conv2D(width, 3, padding="same", use_bias=False, dtype=precision)
        if half:
            yield layers.MaxPooling2D(2, dtype=precision)
        yield layers.BatchNormalization(momentum=params.norm_momentum, epsilon=EPSILON, scale=False, dtype=precision)
        yield layers.Activation(params.activation, dtype=precision)


def _initialise(network: Any, generator: np.random.Generator, setup: Setup) -> None:
    """Assign the first weights. Without initialisers of our own, so that any Keras can load a published model."""
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
    """Return a kernel (height, width, in, out) whose first `in` outputs are its inputs.

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


FAST = Preset(FastParams(), build)

#: `fast` with more filters and twice the epochs, for a GPU or a patient processor.
WIDE = Preset(WideParams(), build)

#: `fast` with fewer filters, which learns from the answers of another version.
DISTIL = Preset(DistilParams(), build)
