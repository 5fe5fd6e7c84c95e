"""Make any network for images one that Darkroom serves: RGB pixels from 0 to 255 in, probabilities out.

What is in the way is said with what was found and what is needed. The network itself is not changed: what it lacks is
put in front of it and behind it.
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

#: Pixels on a side: a chunk of 256 images is one batch, whose layers must fit into memory.
MAX_SIDE = 256
#: Images of the trial that tells probabilities from logits, and how far a sum may be from 1: float16 is that rough.
TRIAL, ROUGH = 8, 1e-2
#: What pixels are divided by for either range; of two that do equally well the first is taken, which is the usual one.
SCALES: dict[ValueRange, float] = {"0-1": 255.0, "0-255": 1.0}
#: Layers that a network begins with where it scales pixels itself.
SCALING = (keras.layers.Rescaling, keras.layers.Normalization)

#: How the range was found: said by the sender, seen in the network, measured, or taken for the usual one.
Basis = Literal["given", "first layer", "measured", "assumed"]


@dataclass(frozen=True)
class Range:
    """Which values the network wants, and how that is known."""

    values: ValueRange
    basis: Basis


def check_shapes(network: Any, labels: Sequence[str] | None) -> tuple[str, ...]:
    """Return the labels: those that were given, else CIFAR-10's where there are ten.

    Raises InvalidRequest where the network does not take RGB images of one size, or does not answer a value per label.
    """
    taken, answered = (
        _only(tensors, what) for tensors, what in ((network.inputs, "input"), (network.outputs, "output"))
    )
    if len(taken) != 4 or taken[0] is not None or None in taken[1:] or taken[3] != 3:
        raise InvalidRequest(
            f"the network takes {taken}; it must take (None, height, width, 3), RGB images of one size"
        )
    if any(side is None or side > MAX_SIDE for side in taken[1:3]):
        raise InvalidRequest(f"the network takes images of {taken[2]} × {taken[1]} pixels; at most {MAX_SIDE} a side")
    if len(answered) != 2 or answered[1] is None:
        raise InvalidRequest(f"the network answers {answered}; it must answer (None, labels), a value for each label")
    return _labels(answered[1], labels)


def value_range(network: Any, given: ValueRange | None, dataset: Dataset | None) -> Range:
    """Return which values the network wants: what was given, or what it shows, or what does better.

    Measured on the validation images, which are training images: the test images choose nothing.
    """
    if given is not None:
        return Range(given, "given")
    if isinstance(_first_layer(network), SCALING):
        return Range("0-255", "first layer")
    if dataset is None:
        return Range("0-1", "assumed")
    return Range(max(SCALES, key=lambda values: _accuracy(network, values, dataset)), "measured")


def uniform(network: Any, values: ValueRange) -> tuple[Any, bool]:
    """Return the network as Darkroom serves it, and whether a softmax was put behind it.

    Raises InvalidRequest where it fails on images of its own size, or answers no finite numbers.
    """
    trial = _trial(network, values)
    inputs = keras.Input(network.inputs[0].shape[1:], name="images")
    scaled = keras.layers.Rescaling(1 / SCALES[values], name="scaling")(inputs) if SCALES[values] != 1 else inputs
    answer = network(scaled)
    logits = not _are_probabilities(trial)
    if logits:
        answer = keras.layers.Softmax(name="probabilities", dtype="float32")(answer)
    return keras.Model(inputs, answer, name="imported"), logits


def _only(tensors: Any, what: str) -> tuple[int | None, ...]:
    """The shape of the one input or output."""
    count = len(tensors or ())
    if count != 1:
        raise InvalidRequest(f"the network has {count or 'no'} {what}s that are known; it must have one")
    return tuple(tensors[0].shape)


def _labels(count: int, given: Sequence[str] | None) -> tuple[str, ...]:
    if given is None and count != len(CIFAR10_LABELS):
        raise InvalidRequest(f"the network answers {count} values: say which labels they stand for")
    labels = tuple(CIFAR10_LABELS if given is None else given)
    if len(labels) != count:
        raise InvalidRequest(f"the network answers {count} values for {len(labels)} labels")
    return labels


def _first_layer(network: Any) -> Any:
    """The layer that sees the pixels first, also inside a network that is a layer itself; None where there is none."""
    layers = [layer for layer in network.layers if not isinstance(layer, keras.layers.InputLayer)]
    first = layers[0] if layers else None
    return _first_layer(first) if isinstance(first, keras.Model) else first


def _accuracy(network: Any, values: ValueRange, dataset: Dataset) -> float:
    answers = evaluate.predict(uniform(network, values)[0], dataset.x_val)
    return float(np.mean(answers.argmax(axis=1) == dataset.y_val))


def _trial(network: Any, values: ValueRange) -> NDArray[np.float32]:
    images = evaluate.noise((TRIAL, *network.inputs[0].shape[1:])) / np.float32(SCALES[values])
    try:
        answers = np.asarray(keras.ops.convert_to_numpy(network(images, training=False)), np.float32)
    except Exception as error:  # Keras and TensorFlow have many words for a network that does not work
        raise InvalidRequest(f"the network fails on images of its own size: {first_line(error)}") from error
    if not np.isfinite(answers).all():
        raise InvalidRequest("the network answers values that are no finite numbers")
    return answers


def _are_probabilities(answers: NDArray[np.float32]) -> bool:
    return bool((answers >= 0).all() and np.allclose(answers.sum(axis=1), 1, atol=ROUGH))
