"""Configurations that Keras 2 wrote, as Keras 3 reads them.

Keras 2 let the first layer of a Sequential say the shape of the input. Keras 3 wants a layer of its own for that, and
takes the batch's size in the old entry for a dimension of the images. Before Keras 2.2.3 a Sequential was a bare list.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import h5py

#: Entry of a layer's configuration: the shape that it takes, with the batch's size in front.
OLD_SHAPE = "batch_input_shape"

Config = dict[str, Any]


def renewed(config: Config) -> Config:
    """The same network in new words; what is new already stays as it is."""
    if config.get("class_name") != "Sequential":
        return config
    inner = config["config"]
    if isinstance(inner, list):
        inner = {"name": "sequential", "layers": inner}
    layers = [renewed(layer) for layer in inner["layers"]]
    return config | {"config": inner | {"layers": [*_input_of(layers), *map(_without_shape, layers)]}}


def with_config(file: Path, config: Config, folder: Path) -> Path:
    """A copy of a `.h5` file in `folder`, with another configuration."""
    copy = folder / file.name
    shutil.copyfile(file, copy)
    with h5py.File(copy, "r+") as content:
        content.attrs["model_config"] = json.dumps(config)
    return copy


def _input_of(layers: list[Config]) -> list[Config]:
    """The input layer that is missing in front of `layers`, if one is."""
    first = layers[0]["config"] if layers else {}
    if OLD_SHAPE not in first or layers[0]["class_name"] == "InputLayer":
        return []
    return [{"class_name": "InputLayer", "config": {"batch_shape": first[OLD_SHAPE], "name": f"{first['name']}_input"}}]


def _without_shape(layer: Config) -> Config:
    if layer["class_name"] == "InputLayer":
        return layer
    return layer | {"config": {name: value for name, value in layer["config"].items() if name != OLD_SHAPE}}
