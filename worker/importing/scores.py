"""What the outputs of an imported network mean, and what has to be added for one score from 0 to 1 for each label.

Outputs that sum to 1 are probabilities. Otherwise the last activation decides: sigmoids are scores of their own, and
values without an activation are logits, of a sigmoid or a softmax as the loss in the file says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray

from shared.domain.card import Outputs
from shared.domain.errors import InvalidRequest

#: How far the sum of probabilities may be from 1: float16 is that imprecise.
TOLERANCE = 1e-2
#: Classes of layers and operations that only pass on, choose or average the values of the activation before them.
PASSED_ON = {
    *("ActivityRegularization", "Average", "AveragePooling2D", "Cast", "Concatenate", "Dropout", "Flatten"),
    *("GlobalAveragePooling2D", "GlobalMaxPooling2D", "Identity", "MaxPooling2D", "Maximum", "Mean", "Minimum"),
    *("Reshape", "Squeeze", "StopGradient"),
}
#: Activations whose values are scores of their own, and those whose values are logits.
SIGMOIDS, LOGITS = {"sigmoid", "hard_sigmoid"}, {"linear", "log_softmax"}

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

    def apply(self, answer: Any) -> Any:
        """Return the scores for the network's output, a tensor of Keras (n, outputs)."""
        if self.added == "softmax":
            answer = keras.layers.Softmax(name="probabilities", dtype="float32")(answer)
        if self.added == "sigmoid":
            answer = keras.layers.Activation("sigmoid", name="scores", dtype="float32")(answer)
        if self.is_binary:
            other = keras.layers.Rescaling(-1, 1, name="other", dtype="float32")(answer)
            answer = keras.layers.Concatenate(name="both", dtype="float32")([other, answer])
        return answer


def find_scores(network: Any, answers: NDArray[np.float32], labels: tuple[str, ...], loss: str) -> Scores:
    """Return what the outputs mean. `answers` are some of them (n, outputs), `loss` is named in the file, or empty.

    Raises InvalidRequest if the last activation is not one of those of a classifier.
    """
    activation = last_activation(network)
    is_binary = answers.shape[1] == 1
    if activation == OTHER and ((answers < 0) | (answers > 1)).any():
        activation = "linear"
    if not is_binary and _sum_to_1(answers):
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


def _sum_to_1(answers: NDArray[np.float32]) -> bool:
    return bool((answers >= 0).all() and np.allclose(answers.sum(axis=1), 1, atol=TOLERANCE))


def last_activation(network: Any) -> str:
    """Return the name of the activation that the outputs come from; "linear" without one."""
    tensor = network.outputs[0]
    while True:
        operation, node, place = tensor._keras_history
        name = _activation(operation)
        if isinstance(operation, keras.Model):
            tensor = operation.outputs[place]
        elif type(operation).__name__ in PASSED_ON or (
            isinstance(operation, keras.layers.Activation) and name == "linear"
        ):
            tensor = operation._inbound_nodes[node].input_tensors[0]
        else:
            return name


def _activation(operation: Any) -> str:
    """Return the activation of a layer or operation: its argument, or itself, such as ReLU or Sigmoid."""
    function = getattr(operation, "activation", None)
    if function is not None:
        return str(getattr(function, "__name__", None) or type(function).__name__.lower())
    name = type(operation).__name__
    if hasattr(keras.activations, name.lower()) or name in ("LeakyReLU", "PReLU", "ELU", "LogSoftmax"):
        return {"LogSoftmax": "log_softmax"}.get(name, name.lower())
    return "linear" if getattr(operation, "weights", ()) else OTHER
