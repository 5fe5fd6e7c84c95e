"""The last activation of a graph of OpenVINO, and what has to be added to it. See `worker.importing.scores`."""

from __future__ import annotations

from typing import Any

import numpy as np

from worker.importing.scores import OTHER, Scores

#: Operations that only pass on, choose or average the values of the activation before them.
PASSED_ON = {
    *("AvgPool", "Convert", "FakeQuantize", "MaxPool", "ReduceMax", "ReduceMean", "Reshape", "Result", "Squeeze"),
    *("Transpose", "Unsqueeze"),
}
#: Activations by operation. Those of layers with weights are linear.
ACTIVATIONS = {
    **dict.fromkeys(("Add", "Convolution", "GroupConvolution", "MatMul"), "linear"),
    **{"Softmax": "softmax", "LogSoftmax": "log_softmax", "Sigmoid": "sigmoid", "HardSigmoid": "hard_sigmoid"},
    **{"Clamp": "relu6", "Relu": "relu", "Tanh": "tanh", "Elu": "elu", "PRelu": "prelu", "HSigmoid": "hard_sigmoid"},
}


def last_activation(network: Any) -> str:
    """Return the name of the activation that the output of an `openvino.Model` comes from; "linear" without one."""
    node = network.get_results()[0]
    while node.get_type_name() in PASSED_ON:
        node = node.input_value(0).get_node()
    return ACTIVATIONS.get(node.get_type_name(), OTHER)


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
