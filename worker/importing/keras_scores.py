"""The last activation of a Keras model, and what has to be added to it. See `scores`."""

from __future__ import annotations

from typing import Any

import keras

from worker.importing.scores import OTHER, Scores, scaled

#: Classes of layers and operations that only pass on, choose or average the values of the activation before them.
PASSED_ON = {
    *("ActivityRegularization", "Average", "AveragePooling2D", "Cast", "Concatenate", "Dropout", "Flatten"),
    *("GlobalAveragePooling2D", "GlobalMaxPooling2D", "Identity", "MaxPooling2D", "Maximum", "Mean", "Minimum"),
    *("Reshape", "Squeeze", "StopGradient"),
}


#: Those that multiply or shift the values, if they have one input; see `scaled`.
SCALINGS = {"Add", "Divide", "Multiply", "Rescaling", "Subtract", "TrueDivide"}


def with_scores(answer: Any, scores: Scores) -> Any:
    """Return the scores for the network's output, a tensor of Keras (n, outputs)."""
    if scores.added == "softmax":
        answer = keras.layers.Softmax(name="probabilities", dtype="float32")(answer)
    if scores.added == "sigmoid":
        answer = keras.layers.Activation("sigmoid", name="scores", dtype="float32")(answer)
    if scores.is_binary:
        other = keras.layers.Rescaling(-1, 1, name="other", dtype="float32")(answer)
        answer = keras.layers.Concatenate(name="both", dtype="float32")([other, answer])
    return answer


def last_activation(network: Any) -> str:
    """Return the name of the activation that the outputs come from; "linear" without one."""
    return _activation_before(network.outputs[0])


def _activation_before(tensor: Any) -> str:
    while True:
        operation, node, place = tensor._keras_history
        name = _activation(operation)
        if isinstance(operation, keras.Model):
            tensor = operation.outputs[place]
        elif type(operation).__name__ in PASSED_ON or (
            isinstance(operation, keras.layers.Activation) and name == "linear"
        ):
            tensor = operation._inbound_nodes[node].input_tensors[0]
        elif type(operation).__name__ in SCALINGS and len(operation._inbound_nodes[node].input_tensors) == 1:
            return scaled(_activation_before(operation._inbound_nodes[node].input_tensors[0]))
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
