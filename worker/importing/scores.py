"""What the outputs of an imported network mean, and what has to be added for one score from 0 to 1 for each label.

Outputs that sum to 1 are probabilities. Otherwise the last activation decides: sigmoids are scores of their own, and
values without an activation are logits, of a sigmoid or a softmax as the loss in the file says. `keras_scores` and
`graphs.graph_scores` find the activation, and add what is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shared.domain.card import Outputs
from shared.domain.errors import InvalidRequest

#: How far the sum of probabilities may be from 1: float16 is that imprecise.
TOLERANCE = 1e-2
#: Activations whose values are scores of their own, and those whose values are logits.
SIGMOIDS, LOGITS = {"sigmoid", "hard_sigmoid"}, {"linear", "log_softmax"}

#: Activations whose values are bounded. Multiplied or shifted, they are neither scores nor logits any more.
BOUNDED = SIGMOIDS | {"softmax", "tanh"}

#: Neither an activation nor a layer with weights, such as a product.
OTHER = "an operation without an activation"

#: What is added to the network.
Added = Literal["nothing", "softmax", "sigmoid"]


@dataclass(frozen=True)
class Scores:
    """What the outputs are, what is added to get scores, and a sentence that says so.

    `is_binary` if the one output is the score of the second of two labels.
    """

    outputs: Outputs
    added: Added
    note: str
    is_binary: bool = False


def scaled(activation: str) -> str:
    """Return the last activation of a network that multiplies, or shifts, the values of another one by constants."""
    return f"a {activation} that is multiplied or shifted" if activation in BOUNDED else OTHER


def find_scores(
    activation: str, answers: NDArray[np.float32], labels: tuple[str, ...], *, loss: str = "", quantum: float = 0.0
) -> Scores:
    """Return what the outputs mean. `answers` are some of them (n, outputs), `loss` is named in the file, or empty.

    `activation` is the last one, `quantum` the step of outputs that are quantized. Raises InvalidRequest if the
    activation is not one of those of a classifier.
    """
    is_binary = answers.shape[1] == 1
    if activation == OTHER and ((answers < 0) | (answers > 1)).any():
        activation = "linear"
    tolerance = TOLERANCE + answers.shape[1] * quantum / 2
    if not is_binary and (activation == "softmax" or not quantum) and _sum_to_1(answers, tolerance):
        return Scores("probabilities", "nothing", "Scores: the network's own probabilities, which sum to 1.")
    if activation in LOGITS and (is_binary or "binary" in loss.lower()):
        return _sigmoids("sigmoid", labels, is_binary, "The network's outputs are logits; a sigmoid is added.")
    if activation in LOGITS:
        return Scores("probabilities", "softmax", "Scores: the network's outputs are logits; a softmax is added.")
    if activation in SIGMOIDS:
        return _sigmoids("nothing", labels, is_binary, "The network's last activation is a sigmoid.")
    raise InvalidRequest(
        f"the network's last activation is {activation}, whose values are not scores: end the network with a softmax, "
        "with a sigmoid, or without an activation"
    )


def _sigmoids(added: Added, labels: tuple[str, ...], is_binary: bool, reason: str) -> Scores:
    if is_binary:
        meaning = f"the one output p is the score of {labels[1]!r}, and 1 − p that of {labels[0]!r}"
        return Scores("probabilities", added, f"Scores: {meaning}. {reason}", is_binary=True)
    return Scores("independent", added, f"Scores: independent, one for each label, from 0 to 1. {reason}")


def _sum_to_1(answers: NDArray[np.float32], tolerance: float) -> bool:
    return bool((answers >= 0).all() and np.allclose(answers.sum(axis=1), 1, atol=tolerance))
