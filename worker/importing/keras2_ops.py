"""TensorFlow operations in models of Keras 2, as the operations of Keras 3 that compute the same.

Keras 2 records `x / 255` or `tf.nn.relu(x)` in a model as a layer TFOpLambda with the name of the function, and
`x[...]` as a SlicingOpLambda. Their first argument is the layer's input, the others are keyword arguments.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from shared.domain.errors import InvalidRequest

Config = dict[str, Any]

#: Keyword arguments of TensorFlow that change nothing here.
IGNORED = {"name", "data_format"}


@dataclass(frozen=True)
class Operation:
    """A class of `keras.src.ops`, the names of TensorFlow's other inputs, and its settings by TensorFlow's names."""

    module: str
    class_name: str
    inputs: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)


def _numpy(class_name: str, *inputs: str, **settings: str) -> Operation:
    return Operation("keras.src.ops.numpy", class_name, inputs, settings)


def _nn(class_name: str, **settings: str) -> Operation:
    return Operation("keras.src.ops.nn", class_name, (), settings)


REDUCED = {"axis": "axis", "keepdims": "keepdims"}
OPERATIONS = {
    "__operators__.add": _numpy("Add", "y"),
    "__operators__.getitem": _numpy("GetItem", "slice_spec"),
    "cast": Operation("keras.src.ops.core", "Cast", (), {"dtype": "dtype"}),
    "clip_by_value": _numpy("Clip", clip_value_min="x_min", clip_value_max="x_max"),
    "concat": _numpy("Concatenate", axis="axis"),
    "expand_dims": _numpy("ExpandDims", axis="axis"),
    "image.resize": Operation(
        "keras.src.ops.image", "Resize", (), {"size": "size", "method": "interpolation", "antialias": "antialias"}
    ),
    "linalg.matmul": _numpy("Matmul", "b"),
    "math.abs": _numpy("Absolute"),
    "math.add": _numpy("Add", "y"),
    "math.divide": _numpy("TrueDivide", "y"),
    "math.divide_no_nan": _numpy("TrueDivide", "y"),
    "math.exp": _numpy("Exp"),
    "math.log": _numpy("Log"),
    "math.maximum": _numpy("Maximum", "y"),
    "math.minimum": _numpy("Minimum", "y"),
    "math.multiply": _numpy("Multiply", "y"),
    "math.negative": _numpy("Negative"),
    "math.pow": _numpy("Power", "y"),
    "math.reduce_max": _numpy("Max", **REDUCED),
    "math.reduce_mean": _numpy("Mean", **REDUCED),
    "math.reduce_sum": _numpy("Sum", **REDUCED),
    "math.rsqrt": Operation("keras.src.ops.math", "Rsqrt"),
    "math.sigmoid": _nn("Sigmoid"),
    "math.softplus": _nn("Softplus"),
    "math.sqrt": _numpy("Sqrt"),
    "math.square": _numpy("Square"),
    "math.subtract": _numpy("Subtract", "y"),
    "math.tanh": _numpy("Tanh"),
    "math.truediv": _numpy("TrueDivide", "y"),
    "nn.bias_add": _numpy("Add", "bias"),
    "nn.elu": _nn("Elu"),
    "nn.leaky_relu": _nn("LeakyRelu", alpha="negative_slope"),
    "nn.relu": _nn("Relu"),
    "nn.relu6": _nn("Relu6"),
    "nn.selu": _nn("Selu"),
    "nn.sigmoid": _nn("Sigmoid"),
    "nn.silu": _nn("Silu"),
    "nn.softmax": _nn("Softmax", axis="axis"),
    "nn.swish": _nn("Silu"),
    "nn.tanh": _numpy("Tanh"),
    "reshape": _numpy("Reshape", shape="newshape"),
    "reverse": _numpy("Flip", axis="axis"),
    "squeeze": _numpy("Squeeze", axis="axis"),
    "stack": _numpy("Stack", axis="axis"),
    "stop_gradient": Operation("keras.src.ops.core", "StopGradient"),
    "transpose": _numpy("Transpose", perm="axes"),
}


def find_operation(layer: Config) -> Operation | None:
    """Return the operation that a layer of Keras 2 stands for; None if it is another layer or an unknown operation."""
    if layer["class_name"] not in ("TFOpLambda", "SlicingOpLambda"):
        return None
    function = str(layer["config"].get("function"))
    return OPERATIONS.get(function.removeprefix("tf.").removeprefix("compat.v1."))


def converted(layer: Config, operation: Operation, first: Any, others: Config) -> tuple[Config, list[Any]]:
    """Return the configuration of an operation of Keras 3 and its inputs, for TensorFlow's arguments.

    `first` is its first argument, `others` are its keyword arguments. Raises InvalidRequest for an argument that the
    operation of Keras does not have.
    """
    given = {name: value for name, value in others.items() if name not in IGNORED and value is not None}
    inputs = [first, *(_constant(name, given.pop(name)) for name in operation.inputs)]
    unknown = sorted(name for name in given if name not in operation.settings and given[name] is not False)
    if unknown:
        function = layer["config"]["function"]
        raise InvalidRequest(
            f"the layer {layer['name']!r} applies the TensorFlow operation {function} with {unknown[0]!r}, which "
            "Darkroom cannot convert: use a layer of Keras instead, and save the model again"
        )
    settings = {name: _one(given[old]) for old, name in operation.settings.items() if old in given}
    return {
        "module": operation.module,
        "class_name": operation.class_name,
        "registered_name": operation.class_name,
        "config": {"name": layer["name"], **settings},
    }, inputs


def _one(value: Any) -> Any:
    """Return the only number of a list: axes that Keras expects as a number."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _constant(name: str, value: Any) -> Any:
    """Return an input in Keras 3's form: a slice, an array, a number or a tensor."""
    if name == "slice_spec":
        return [_index(part) for part in value]
    if isinstance(value, list):
        return {"class_name": "__numpy__", "config": {"value": value, "dtype": "float32"}}
    return value


def _index(part: Any) -> Any:
    if isinstance(part, dict):
        kind = "__slice__" if "step" in part else "__ellipsis__"
        return {"class_name": kind, "config": part if "step" in part else {}}
    return part
