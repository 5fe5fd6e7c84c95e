"""Load a `.h5` file of Keras 3 whose network has operations, such as `x / 255`, which Keras itself cannot load.

Such a file names the class of each layer without its module. Keras looks for it among the layers only, so it does not
find an operation, or takes it for the layer of the same name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from worker.importing.model_config import FUNCTIONAL, operation_module

#: Modules of models.
MODELS = {FUNCTIONAL: "keras.src.models.functional", "Sequential": "keras"}

Config = dict[str, Any]


def with_modules(config: Config) -> Config:
    """Return the configuration of a model in which each operation has its module."""
    inner = config.get("config")
    layers = inner.get("layers") if isinstance(inner, dict) else None
    if not isinstance(inner, dict) or not isinstance(layers, list):
        return config
    return config | {
        "config": inner | {"layers": [_layer(each) if isinstance(each, dict) else each for each in layers]}
    }


def _layer(part: Config) -> Config:
    name, config = part.get("class_name"), part.get("config")
    is_layer = not isinstance(config, dict) or "trainable" in config or "layers" in config or name == "InputLayer"
    module = None if is_layer or "module" in part else operation_module(name)
    if module is None:
        return with_modules(part)
    calls = _argument(part.get("inbound_nodes", []))
    return part | {"module": module, "registered_name": name, "inbound_nodes": calls}


def _argument(value: Any) -> Any:
    """Return an argument of a call as Keras reads it beside a module: `...` has a configuration."""
    if isinstance(value, list):
        return [_argument(each) for each in value]
    if isinstance(value, dict):
        value = {name: _argument(each) for name, each in value.items()}
        return value | {"config": {}} if value == {"class_name": "__ellipsis__"} else value
    return value


def load(file: Path, config: Config) -> Any:
    """Return the network. May raise errors of any type, as Keras does."""
    module = {"module": MODELS.get(config["class_name"]), "registered_name": None}
    network = keras.saving.deserialize_keras_object(config | module, safe_mode=True)
    network.load_weights(file)
    return network
