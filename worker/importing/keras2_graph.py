"""Convert the graph of a functional model of Keras 2: which layer is called with the output of which.

A call in Keras 2 is a list of `[layer, call, output, keyword arguments]`, one entry for each input. In Keras 3 it is an
object with arguments, in which `__keras_tensor__` stands for the output of another layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from worker.importing import keras2_ops

Config = dict[str, Any]

#: Stands for the name of a layer in an argument that is a constant.
CONSTANT = "_CONSTANT_VALUE"
#: Models inside of models. Keras 2 counts their calls from 1, Keras 3 from 0.
MODELS = ("Functional", "Model", "Sequential")


def to_keras_3(config: Config, layers: list[Config]) -> Config:
    """Return the configuration of a functional model for Keras 3; `layers` are its layers, converted already."""
    graph = _Graph(config, {layer["name"]: layer["class_name"] for layer in config["layers"]})
    return {
        "name": without_slashes(str(config.get("name") or "model")),
        "trainable": config.get("trainable", True),
        "layers": [graph.linked(layer, old) for layer, old in zip(layers, config["layers"], strict=True)],
        "input_layers": graph.ends(config["input_layers"]),
        "output_layers": graph.ends(config["output_layers"]),
    }


def without_slashes(name: str) -> str:
    """Return a layer's name without slashes, which Keras 3 forbids."""
    return name.replace("/", "_")


class _Graph:
    """The calls of a model's layers. `kinds` are the classes of the layers by name."""

    def __init__(self, config: Config, kinds: dict[str, str]) -> None:
        self._kinds = kinds
        self._first_calls = dict.fromkeys(kinds, 0)
        models = {name for name, kind in kinds.items() if kind in MODELS}
        used = list(self._used([config["output_layers"], *(layer["inbound_nodes"] for layer in config["layers"])]))
        for name in models:
            self._first_calls[name] = min((call for model, call in used if model == name), default=0)

    def linked(self, layer: Config, old: Config) -> Config:
        """Return a layer with its calls, or the operation of Keras 3 that it stands for."""
        calls = [self._arguments(node) for node in old["inbound_nodes"] if node]
        operation = keras2_ops.find_operation(old)
        name = without_slashes(old["name"])
        if operation is None:
            nodes = [{"args": [first], "kwargs": others} for first, others in calls]
            return layer | {"name": name, "inbound_nodes": nodes}
        both = [keras2_ops.converted(old, operation, *call) for call in calls]
        nodes = [{"args": inputs, "kwargs": {}} for _, inputs in both]
        return both[0][0] | {"name": name, "inbound_nodes": nodes}

    def ends(self, references: list[Any]) -> list[Any]:
        """Return `input_layers` or `output_layers`; a single one not in a list, or the model would return a list."""
        ends = [self._end(*reference[:3]) for reference in _list(references)]
        return ends[0] if len(ends) == 1 else ends

    def _end(self, name: str, call: int, output: int) -> list[Any]:
        """Return a reference from the model, in which also Keras 3 counts the calls of functional models from 1."""
        counted_from_1 = self._kinds[name] in ("Functional", "Model")
        return [without_slashes(name), call - self._first_calls[name] + counted_from_1, output]

    def _used(self, waiting: list[Any]) -> Iterator[tuple[str, int]]:
        """Yield the layer and the call of each reference in a structure of lists and objects."""
        while waiting:
            value = waiting.pop()
            if self._is_tensor(value):
                yield value[0], value[1]
            if isinstance(value, (list, dict)):
                waiting += value.values() if isinstance(value, dict) else value

    def _is_tensor(self, value: Any) -> bool:
        """Return whether a value refers to the output of a layer: `[layer, call, output]`, then perhaps arguments."""
        return (
            isinstance(value, list)
            and len(value) in (3, 4)
            and isinstance(value[0], str)
            and value[0] in self._kinds
            and all(isinstance(number, int) for number in value[1:3])
        )

    def _arguments(self, node: list[Any]) -> tuple[Any, Config]:
        """Return the first argument of a call, a list if there are several inputs, and its keyword arguments."""
        entries = _list(node)
        inputs = [self._value(entry[:3]) for entry in entries]
        others = entries[-1][3] if len(entries[-1]) > 3 else {}
        return inputs[0] if len(inputs) == 1 else inputs, dict(self._value(others))

    def _value(self, value: Any) -> Any:
        """Return an argument of a call in Keras 3's form."""
        if self._is_tensor(value):
            history = [without_slashes(value[0]), value[1] - self._first_calls[value[0]], value[2]]
            shape: list[int] = []  # Keras takes that of the other layer
            config = {"shape": shape, "dtype": "float32", "keras_history": history}
            return {"class_name": "__keras_tensor__", "config": config}
        if isinstance(value, list):
            return value[2] if len(value) == 3 and value[0] == CONSTANT else [self._value(each) for each in value]
        if isinstance(value, dict):
            return {name: self._value(each) for name, each in value.items()}
        return value


def _list(references: list[Any]) -> list[Any]:
    """Return references as a list; of a single one, Keras may omit the list."""
    return [references] if references and isinstance(references[0], str) else references
