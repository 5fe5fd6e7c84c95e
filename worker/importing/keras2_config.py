"""Convert configurations that Keras 2 wrote into those that Keras 3 reads.

In Keras 2, the first layer of a Sequential may declare the input shape. Keras 3 needs an input layer instead, and
mistakes the batch size in the old entry for a dimension of the images. Before Keras 2.2.3, the configuration of a
Sequential was a bare list of layers.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import h5py

#: Entry of a layer's configuration: its input shape, including the batch size.
OLD_SHAPE = "batch_input_shape"

Config = dict[str, Any]


def to_keras_3(config: Config) -> Config:
    """Return the configuration for Keras 3; one that is for Keras 3 already is returned unchanged."""
    if config.get("class_name") != "Sequential":
        return config
    inner = config["config"]
    if isinstance(inner, list):
        inner = {"name": "sequential", "layers": inner}
    layers = [to_keras_3(layer) for layer in inner["layers"]]
    return config | {"config": inner | {"layers": [*_input_of(layers), *map(_without_shape, layers)]}}


def with_config(file: Path, config: Config, folder: Path) -> Path:
    """Copy a `.h5` file to `folder` with another configuration, and return the copy."""
    copy = folder / file.name
    shutil.copyfile(file, copy)
    with h5py.File(copy, "r+") as content:
        content.attrs["model_config"] = json.dumps(config)
    return copy


def _input_of(layers: list[Config]) -> list[Config]:
    """Return the input layer that is missing before `layers`, as a list of none or one."""
    first = layers[0]["config"] if layers else {}
    if OLD_SHAPE not in first or layers[0]["class_name"] == "InputLayer":
        return []
    return [{"class_name": "InputLayer", "config": {"batch_shape": first[OLD_SHAPE], "name": f"{first['name']}_input"}}]


def _without_shape(layer: Config) -> Config:
    if layer["class_name"] == "InputLayer":
        return layer
    return layer | {"config": {name: value for name, value in layer["config"].items() if name != OLD_SHAPE}}
