"""Adapt any image network to what Darkroom serves: RGB pixels from 0 to 255 in, probabilities out.

The network itself is not changed: missing scaling is added before it, a missing softmax after it. An error says what
was found and what is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray

from shared.domain.errors import InvalidRequest
from shared.models.import_queue import ValueRange
from shared.training.datasets import CIFAR10_LABELS
from worker.data.datasets import Dataset
from worker.evaluation import evaluate
from worker.importing.model_file import first_line

#: Largest height and width in pixels: the activations of a batch of 256 images must fit into memory.
MAX_SIDE = 256
#: Noise images that tell probabilities from logits, and how far their sum may be from 1: float16 is that imprecise.
TRIAL_IMAGES, TOLERANCE = 8, 1e-2
#: Divisor of the pixels for each range. If both are equally accurate, the first is used, which is more common.
SCALES: dict[ValueRange, float] = {"0-1": 255.0, "0-255": 1.0}
#: First layers of a network that scales pixels itself.
SCALING = (keras.layers.Rescaling, keras.layers.Normalization)

#: How the range was determined: given by the client, from the first layer, measured, or the default.
Basis = Literal["given", "first layer", "measured", "assumed"]


@dataclass(frozen=True)
class Range:
    """The range of values that a network expects, and how it was determined."""

    values: ValueRange
    basis: Basis


def check_shapes(network: Any, labels: Sequence[str] | None) -> tuple[str, ...]:
    """Return the given labels, or CIFAR-10's if none are given and the network has ten outputs.

    Raises InvalidRequest unless the network's input is RGB images of one size and its output one value per label.
    """
    shape, outputs = _only_shape(network.inputs, "input"), _only_shape(network.outputs, "output")
    if len(shape) != 4 or shape[0] is not None or None in shape[1:] or shape[3] != 3:
        raise InvalidRequest(
            f"the network's input shape is {shape}; it must be (None, height, width, 3), RGB images of one size"
        )
    if any(side is None or side > MAX_SIDE for side in shape[1:3]):
        raise InvalidRequest(f"the network's input is {shape[2]} × {shape[1]} pixels; the limit is {MAX_SIDE} a side")
    if len(outputs) != 2 or outputs[1] is None:
        raise InvalidRequest(f"the network's output shape is {outputs}; it must be (None, labels), one per label")
    return _labels(outputs[1], labels)


def value_range(network: Any, given: ValueRange | None, dataset: Dataset | None) -> Range:
    """Return the given range, or determine it from the first layer, or from the accuracy on the validation images."""
    if given is not None:
        return Range(given, "given")
    if isinstance(_first_layer(network), SCALING):
        return Range("0-255", "first layer")
    if dataset is None:
        return Range("0-1", "assumed")
    return Range(max(SCALES, key=lambda values: _accuracy(network, values, dataset)), "measured")


def adapt_model(network: Any, values: ValueRange) -> tuple[Any, bool]:
    """Return the network as Darkroom serves it, and whether a softmax was added.

    Raises InvalidRequest if the network fails on images of its own size or outputs NaN or infinity.
    """
    trial = _trial(network, values)
    inputs = keras.Input(network.inputs[0].shape[1:], name="images")
    scaled = keras.layers.Rescaling(1 / SCALES[values], name="scaling")(inputs) if SCALES[values] != 1 else inputs
    answer = network(scaled)
    logits = not _are_probabilities(trial)
    if logits:
        answer = keras.layers.Softmax(name="probabilities", dtype="float32")(answer)
    return keras.Model(inputs, answer, name="imported"), logits


def _only_shape(tensors: Any, what: str) -> tuple[int | None, ...]:
    """Return the shape of the only input or output."""
    count = len(tensors or ())
    if count != 1:
        raise InvalidRequest(f"the network has {count or 'no known'} {what}s; it must have one")
    return tuple(tensors[0].shape)


def _labels(count: int, given: Sequence[str] | None) -> tuple[str, ...]:
    if given is None and count != len(CIFAR10_LABELS):
        raise InvalidRequest(f"the network has {count} outputs: send the `labels` that they stand for")
    labels = tuple(CIFAR10_LABELS if given is None else given)
    if len(labels) != count:
        raise InvalidRequest(f"the network has {count} outputs, but there are {len(labels)} labels")
    return labels


def _first_layer(network: Any) -> Any:
    """Return the first layer after the input, inside a nested network if that comes first; None without layers."""
    layers = [layer for layer in network.layers if not isinstance(layer, keras.layers.InputLayer)]
    first = layers[0] if layers else None
    return _first_layer(first) if isinstance(first, keras.Model) else first


def _accuracy(network: Any, values: ValueRange, dataset: Dataset) -> float:
    answers = evaluate.predict(adapt_model(network, values)[0], dataset.x_val)
    return float(np.mean(answers.argmax(axis=1) == dataset.y_val))


def _trial(network: Any, values: ValueRange) -> NDArray[np.float32]:
    images = evaluate.noise((TRIAL_IMAGES, *network.inputs[0].shape[1:])) / np.float32(SCALES[values])
    try:
        answers = np.asarray(keras.ops.convert_to_numpy(network(images, training=False)), np.float32)
    except Exception as error:  # Keras and TensorFlow raise many types
        raise InvalidRequest(f"the network fails on images of its own size: {first_line(error)}") from error
    if not np.isfinite(answers).all():
        raise InvalidRequest("the network's output contains NaN or infinity")
    return answers


def _are_probabilities(answers: NDArray[np.float32]) -> bool:
    return bool((answers >= 0).all() and np.allclose(answers.sum(axis=1), 1, atol=TOLERANCE))
