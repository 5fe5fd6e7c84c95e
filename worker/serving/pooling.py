"""The end of an OpenVINO network: whether it is mean pooling and one dense layer, whose input then has a place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Layers after which the order of the labels by evidence is the same, and those that only change the shape.
ACTIVATIONS, SHAPES = {"Softmax", "Sigmoid"}, {"Reshape", "Squeeze", "Transpose"}
#: Axes of a batch of feature maps, whether the features come second or last.
AXES = {0, 1, 2, 3}


@dataclass(frozen=True, eq=False)
class PooledEnd:
    """The output `features`, and the last layer, whose input is its mean over `axes` (rows, columns).

    `weights` (features, labels) are that layer's.
    """

    features: Any
    axes: tuple[int, int]
    weights: NDArray[np.float32]

    def in_order(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return feature maps as (n, rows, columns, features)."""
        return np.moveaxis(values, self.axes, (1, 2))


def find_pooled_end(probabilities: Any) -> PooledEnd | None:
    """Return the end of a network before its output `probabilities`; None if it ends in another way."""
    node = _node_before(probabilities.get_node(), {"Result", *ACTIVATIONS})
    while node is not None and node.get_type_name() in ("Add", "Multiply"):
        node = _scaled(node)
    if node is None or node.get_type_name() != "MatMul" or (weights := _weights(node)) is None:
        return None
    mean = _node_before(node.input_value(0).get_node(), SHAPES)
    return _pooled(mean, weights) if mean.get_type_name() == "ReduceMean" else None


def _node_before(node: Any, kinds: set[str]) -> Any:
    """Return the first node, from this one back along the first inputs, that is of another kind."""
    while node.get_type_name() in kinds:
        node = node.input_value(0).get_node()
    return node


def _scaled(node: Any) -> Any:
    """Return the node to which this one adds a constant, or which it multiplies by a positive number, else None."""
    value = _constant(node.input_value(1))
    if value is None or (node.get_type_name() == "Multiply" and not (value.size == 1 and value.item() > 0)):
        return None
    return node.input_value(0).get_node()


def _weights(product: Any) -> NDArray[np.float32] | None:
    """Return the constant (features, labels) that a MatMul multiplies by, or None."""
    value, turned = _constant(product.input_value(1)), product.get_attributes()
    if value is None or value.ndim != 2 or turned["transpose_a"]:
        return None
    return value.T if turned["transpose_b"] else value


def _pooled(mean: Any, weights: NDArray[np.float32]) -> PooledEnd | None:
    features, axes = mean.input_value(0), _constant(mean.input_value(1))
    shape = features.get_partial_shape()
    if axes is None or len(shape) != len(AXES):
        return None
    pooled = sorted(int(axis) % len(AXES) for axis in axes.flat)
    kept = AXES - {0, *pooled}
    if len(pooled) != 2 or len(kept) != 1 or shape[kept.pop()].to_string() != str(len(weights)):
        return None
    return PooledEnd(features, (pooled[0], pooled[1]), weights)


def _constant(output: Any) -> NDArray[np.float32] | None:
    """Return the value of an output that is a constant, perhaps stored with less precision, else None."""
    node = _node_before(output.get_node(), {"Convert"})
    return np.asarray(node.get_data(), np.float32) if node.get_type_name() == "Constant" else None
