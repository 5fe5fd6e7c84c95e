"""May Keras build a network from this configuration? Only from Keras's own parts, none of which runs code of others.

Keras names a part by its class and, since version 3, its module. What is allowed is what Keras itself has at that
place; everything else is refused by name, before Keras sees it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from typing import Any

import keras

from shared.domain.errors import InvalidRequest

#: Keras's own layers that run code from the file or from elsewhere, and those that read other files.
DENIED = {
    "Lambda": "runs code of its own",
    "TFSMLayer": "runs a TensorFlow program from another file",
    "TorchModuleWrapper": "runs code of its own",
    "JaxLayer": "runs code of its own",
    "FlaxLayer": "runs code of its own",
    "TextVectorization": "reads another file",
    "IndexLookup": "reads another file",
}
#: What a network is made of: layers and operations (Model is a Layer), and what they take as arguments.
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
#: Values that are no parts.
VALUES = {"__keras_tensor__", "__tensor__", "__numpy__", "__slice__", "__ellipsis__", "__tuple__", "TensorShape"}
#: Where a class is looked for that has no module: files that Keras wrote before version 3.
OLD_PLACES = ("keras.layers", "keras.initializers", "keras.regularizers", "keras.constraints", "keras")
#: Arguments of layers that name a function.
FUNCTIONS = ("activation", "recurrent_activation")
#: Models whose class has no public name.
FUNCTIONAL = "Functional"

Config = dict[str, Any]


def check(config: Config) -> None:
    """Raise InvalidRequest that names the part, where one is not Keras's own or runs code of others."""
    # How it was trained is not loaded, and may well be the author's own.
    for where, part in _dicts({**config, "compile_config": None}, "the model"):
        if "class_name" in part:
            _check_part(part, where)
        for argument in FUNCTIONS:
            if isinstance(part.get(argument), str):
                _check_function(part[argument], where)


def _dicts(value: Any, where: str) -> Iterator[tuple[str, Config]]:
    """Every object in a configuration, with the layer that it is of, in words. No recursion: a file may go deep."""
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
        known = _old(name) if module is None else _at(module, name)
        if known is None or registered not in (None, name):
            raise InvalidRequest(f"{where} is of the class {_full_name(part)}, which is not Keras's own")
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


def _old(name: Any) -> type | None:
    """The class of a part without a module."""
    if name == FUNCTIONAL:
        name = "Model"
    return next((found for place in OLD_PLACES if (found := _at(place, name))), None)


def _at(module: Any, name: Any) -> type | None:
    """Keras's own class `name` at `module`; None where there is none, or where it is no part of a network."""
    root, *path = [*str(module).split("."), str(name)]
    try:
        found: Any = reduce(getattr, path, keras) if root == "keras" else None
    except AttributeError:
        return None
    if not isinstance(found, type) or not issubclass(found, PARTS):
        return None
    return found if found.__module__.split(".")[0] == "keras" else None


def _full_name(part: Config) -> str:
    words = [str(part.get(word)) for word in ("module", "class_name") if part.get(word)]
    registered = part.get("registered_name")
    return f"{'.'.join(words)[:100]!r}" + (f" ({str(registered)[:100]!r})" if registered else "")
