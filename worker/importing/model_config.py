"""Check that a model's configuration has only Keras's own parts, and none that runs foreign code.

Keras identifies a part by its class and, since version 3, its module. Allowed are the classes that Keras itself has at
that place; every other part is refused by name before Keras sees it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from typing import Any

import keras

from shared.domain.errors import InvalidRequest

#: Keras's own layers that run code from the file or from elsewhere, and those that read other files.
DENIED = {
    "Lambda": "runs code from the file",
    "TFSMLayer": "runs a TensorFlow program from another file",
    "TorchModuleWrapper": "runs code from the file",
    "JaxLayer": "runs code from the file",
    "FlaxLayer": "runs code from the file",
    "TextVectorization": "reads another file",
    "IndexLookup": "reads another file",
}
#: Base classes of allowed parts: layers and operations (Model is a Layer), and their arguments.
PARTS = (
    keras.Operation,
    keras.initializers.Initializer,
    keras.regularizers.Regularizer,
    keras.constraints.Constraint,
    keras.dtype_policies.DTypePolicy,
    keras.random.SeedGenerator,
    keras.optimizers.Optimizer,
    keras.optimizers.schedules.LearningRateSchedule,
    keras.losses.Loss,
    keras.metrics.Metric,
)
#: Class names of plain values.
VALUES = {"__keras_tensor__", "__tensor__", "__numpy__", "__slice__", "__ellipsis__", "__tuple__", "TensorShape"}
#: Modules to search for a class without a module, as in files that Keras 2 wrote.
OLD_PLACES = (
    *("keras.layers", "keras.initializers", "keras.regularizers", "keras.constraints", "keras"),
    *("keras.src.applications.convnext", "keras.src.applications.inception_resnet_v2"),
)
#: Modules of Keras 3 with the operations of graphs.
OPERATION_MODULES = tuple(f"keras.src.ops.{name}" for name in ("numpy", "nn", "core", "math", "image", "linalg"))
#: Layers of Keras 2 that Keras 3 does not have, and those that hold an operation of TensorFlow.
GONE = {"CuDNNGRU", "CuDNNLSTM", "LocallyConnected1D", "LocallyConnected2D", "DenseFeatures", "RandomFourierFeatures"}
TENSORFLOW_LAYERS = {"TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"}
#: How to get a file that can be imported, for a part that cannot.
ANEW = "build the model without it in Keras 3 and save it with `model.save('model.keras')`"
#: Arguments of layers that are names of functions.
FUNCTIONS = ("activation", "recurrent_activation")
#: Class name of functional models, which is not public.
FUNCTIONAL = "Functional"

Config = dict[str, Any]


def check(config: Config) -> None:
    """Raise InvalidRequest, naming the part, if a part is not Keras's own or runs foreign code."""
    # The compile configuration is not loaded, and may legitimately contain custom parts.
    for where, part in _dicts({**config, "compile_config": None}, "the model"):
        if "class_name" in part:
            _check_part(part, where)
        for argument in FUNCTIONS:
            if isinstance(part.get(argument), str):
                _check_function(part[argument], where)


def _dicts(value: Any, where: str) -> Iterator[tuple[str, Config]]:
    """Yield each object in a configuration with a description of its layer. Iterative: nesting may be deep."""
    waiting = [(where, value)]
    while waiting:
        where, value = waiting.pop()
        if isinstance(value, dict):
            where = _named(value, where)
            yield where, value
            waiting += [(where, inner) for inner in value.values()]
        elif isinstance(value, list):
            waiting += [(where, inner) for inner in value]


def _named(part: Config, where: str) -> str:
    config = part.get("config")
    name = config.get("name") if isinstance(config, dict) and "class_name" in part else None
    return f"the layer {str(name)[:100]!r}" if name else where


def _check_part(part: Config, where: str) -> None:
    name, module = part["class_name"], part.get("module")
    registered = part.get("registered_name")
    if name == "function":
        _check_function(part.get("config"), where)
    elif name in ("Lambda", "__lambda__"):
        raise InvalidRequest(f"{where} is a Lambda layer or holds a function's code: it {DENIED['Lambda']}")
    elif not (isinstance(name, str) and name in VALUES):
        known = keras_class(name) if module is None else _at(module, name)
        if known is None or registered not in (None, name):
            raise InvalidRequest(f"{where} {_reason(part)}")
        _check_class(known, name, where)


def _check_class(known: type, name: str, where: str) -> None:
    for parent in known.__mro__:
        if parent.__name__ in DENIED:
            raise InvalidRequest(f"{where} is a {name} layer, which {DENIED[parent.__name__]}")


def _check_function(name: Any, where: str) -> None:
    try:
        keras.activations.get(str(name))
    except ValueError:
        raise InvalidRequest(f"{where} has the activation {str(name)[:100]!r}, which is not Keras's own") from None


def keras_class(name: Any) -> type | None:
    """Return Keras's own class for a part without a module, or None."""
    if name == FUNCTIONAL:
        name = "Model"
    return next((found for place in OLD_PLACES if (found := _at(place, name))), None)


def operation_module(name: Any) -> str | None:
    """Return the module of Keras 3 that has the operation, or None."""
    return next((module for module in OPERATION_MODULES if _at(module, name)), None)


def _at(module: Any, name: Any) -> type | None:
    """Return Keras's own class `name` in `module`; None if it does not exist or is not part of a network."""
    root, *path = [*str(module).split("."), str(name)]
    try:
        found: Any = reduce(getattr, path, keras) if root == "keras" else None
    except AttributeError:
        return None
    if not isinstance(found, type) or not issubclass(found, PARTS):
        return None
    return found if found.__module__.split(".")[0] == "keras" else None


def _reason(part: Config) -> str:
    """Return why a part cannot be loaded whose class is not one of Keras 3."""
    name = str(part["class_name"])
    if name in GONE:
        return f"is a {name} layer, which Keras 3 no longer has: {ANEW}"
    if name in TENSORFLOW_LAYERS:
        config = part["config"] if isinstance(part.get("config"), dict) else {}
        operation = str(config.get("function") or config.get("name"))[:100]
        return f"applies the TensorFlow operation {operation!r}, which Darkroom cannot convert: {ANEW}"
    return f"is of the class {_full_name(part)}, which is not Keras's own"


def _full_name(part: Config) -> str:
    words = [str(part.get(word)) for word in ("module", "class_name") if part.get(word)]
    registered = part.get("registered_name")
    return f"{'.'.join(words)[:100]!r}" + (f" ({str(registered)[:100]!r})" if registered else "")
