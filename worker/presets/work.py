"""How big a network is and how much it computes, layer by layer, so that nobody has to build it to know."""

from __future__ import annotations

from dataclasses import dataclass

from shared.training.datasets import CIFAR10_LABELS
from worker.data.datasets import CIFAR10_SHAPE

#: What the networks are for: images of so many pixels a side, so many channels, and so many labels.
SIDE, CHANNELS, CLASSES = CIFAR10_SHAPE[0], CIFAR10_SHAPE[2], len(CIFAR10_LABELS)


@dataclass(frozen=True)
class Layer:
    """What a layer adds to its network.

    `size` counts its weights and biases, trainable or not, as Keras does. `flops` is how many floating-point operations
    it takes for one image, forward: a multiplication and an addition for each product.
    """

    size: int
    flops: int


def convolution(side: int, kernel: int, inputs: int, outputs: int, *, bias: bool = False) -> Layer:
    """Square filters of `kernel` pixels a side, from `inputs` to `outputs` channels, on side × side places."""
    products = kernel**2 * inputs * outputs
    return Layer(products + bias * outputs, 2 * products * side**2)


def dense(inputs: int, outputs: int, *, bias: bool = True) -> Layer:
    """Every input times a weight for every output."""
    return Layer(inputs * outputs + bias * outputs, 2 * inputs * outputs)


def norm(channels: int, *, scale: bool = True) -> Layer:
    """Batch normalisation: mean, variance, shift and perhaps scale of each channel. Its operations are not counted."""
    return Layer((3 + scale) * channels, 0)
