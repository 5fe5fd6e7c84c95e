"""The last activation of a graph of OpenVINO, and what has to be added to it. See `worker.importing.scores`."""

from __future__ import annotations

from typing import Any

import numpy as np

from worker.importing.scores import OTHER, Scores, scaled

#: Operations that only pass on, choose or average the values of the activation before them.
PASSED_ON = {
    *("AvgPool", "Convert", "FakeQuantize", "MaxPool", "ReduceMax", "ReduceMean", "Reshape", "Result", "Squeeze"),
    *("Transpose", "Unsqueeze"),
}
#: Those that multiply or shift the values, if the other input is a constant; see `scaled`.
SCALINGS = {"Add", "Divide", "Multiply", "Subtract"}
#: Activations by operation. Those of layers with weights are linear.
ACTIVATIONS = {
    **dict.fromkeys(("Add", "Convolution", "GroupConvolution", "MatMul"), "linear"),
    **{"Softmax": "softmax", "LogSoftmax": "log_softmax", "Sigmoid": "sigmoid", "HardSigmoid": "hard_sigmoid"},
    **{"Clamp": "relu6", "Relu": "relu", "Tanh": "tanh", "Elu": "elu", "PRelu": "prelu", "HSigmoid": "hard_sigmoid"},
}


def last_activation(network: Any) -> str:
    """Return the name of the activation that the output of an `openvino.Model` comes from; "linear" without one."""
    return _activation_of(network.get_results()[0])


def _activation_of(node: Any) -> str:
    while node.get_type_name() in PASSED_ON:
        node = node.input_value(0).get_node()
    known = ACTIVATIONS.get(node.get_type_name(), OTHER)
    changed = _scaled_input(node)
    if changed is None:
        return known
    found = scaled(_activation_of(changed))
    return known if found == OTHER else found


def _scaled_input(node: Any) -> Any:
    """Return the node whose values another one multiplies or shifts by constants; None if it does something else."""
    if node.get_type_name() not in SCALINGS:
        return None
    variable = [each for value in node.input_values() if not _is_constant(each := value.get_node())]
    return variable[0] if len(variable) == 1 else None


def _is_constant(node: Any) -> bool:
    while node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    return bool(node.get_type_name() == "Constant")


def with_scores(answers: Any, scores: Scores) -> Any:
    """Return the scores for the network's output, a port of a node (n, outputs)."""
    from openvino import opset13  # noqa: PLC0415  # loaded already

    if scores.added == "softmax":
        answers = opset13.softmax(answers, 1).output(0)
    if scores.added == "sigmoid":
        answers = opset13.sigmoid(answers).output(0)
    if scores.is_binary:
        answers = opset13.concat([opset13.subtract(np.float32(1), answers), answers], 1).output(0)
    return answers
