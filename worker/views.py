"""Six views of an image, whose answers are averaged: the image and its mirror image, each in place and shifted twice.

Source: KellerJordan/cifar10-airbench, test-time augmentation of level 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.augment import shifted

#: Shift of both axes in pixels, and the weight of its two views together.
SHIFTS = ((0, 0.5), (1, 0.25), (-1, 0.25))

#: Least probability that a logarithm is taken of.
TINY = 1e-30

Floats = NDArray[np.floating[Any]]


def views(images: NDArray[np.uint8]) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Yield weight and images (n, height, width, channels) of each of the six views; the weights sum to 1."""
    for shift, weight in SHIFTS:
        moved = shifted(images, np.full((len(images), 2), shift), abs(shift))
        yield weight / 2, moved
        yield weight / 2, moved[:, :, ::-1]


def predict_six(predict: Callable[[NDArray[np.uint8]], Floats], images: NDArray[np.uint8]) -> Floats:
    """Return the probabilities (n, classes) over all six views, where `predict` gives those of one.

    Logarithms are averaged, which is the same as averaging the logits.
    """
    return softmax(sum(weight * log(predict(view)) for weight, view in views(images)))


def log(probabilities: Floats) -> Floats:
    """Return natural logarithms as float64, no less than that of TINY."""
    logarithms: Floats = np.log(np.maximum(probabilities.astype(np.float64), TINY))
    return logarithms


def softmax(logits: Any) -> Floats:
    """Return probabilities (n, classes) for logits of that shape."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    quotients: Floats = powers / powers.sum(axis=1, keepdims=True)
    return quotients


def in_graph(network: Any) -> Any:
    """Return a Keras model that gives the mean logits of the six views, for one that gives the logits of one.

    It is made of Keras's own operations, so it is published and loaded as any other. It does six times the work.
    """
    import keras  # noqa: PLC0415 - whoever only measures needs none

    height, width = network.input_shape[1:3]
    inputs = keras.Input(network.input_shape[1:], dtype=network.inputs[0].dtype)
    padded = keras.ops.pad(inputs, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    total = None
    for shift, weight in SHIFTS:
        start = 1 - shift
        view = padded[:, start : start + height, start : start + width]
        for image in (view, keras.ops.flip(view, axis=2)):
            part = keras.layers.Rescaling(weight / 2)(network(image))
            total = part if total is None else keras.layers.Add()([total, part])
    return keras.Model(inputs, total, name=network.name)
