"""Model files to import: a small network, the same in the format of Keras 2, and malicious ones."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
from keras import layers


def small_app(labels: int = 10, side: int = 32, **last: Any) -> keras.Sequential:
    """Return a small network for pixels from 0 to 1; `last` are arguments of its last layer."""
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((side, side, 3)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(labels, **{"activation": "softmax"} | last),
        ]
    )


def saved(network: keras.Model, path: Path) -> Path:
    """Save the network in the format that the suffix says; return the path."""
    network.save(path)
    return path


def small_app_file(path: Path, labels: int = 10) -> Path:
    """Save the small network; return the path."""
    return saved(small_app(labels), path)


def small_app_answers(pixels: np.ndarray) -> np.ndarray:
    """Return its probabilities (n, 10) for images (n, 32, 32, 3), values 0 to 255."""
    return np.asarray(small_app()(pixels / np.float32(255)))


def _keras_2(config: dict[str, Any]) -> dict[str, Any]:
    """Return a layer's configuration as Keras 2.3 wrote it."""
    glorot = {"scale": 1.0, "mode": "fan_avg", "distribution": "uniform", "seed": None}
    named = {
        "kernel_initializer": {"class_name": "VarianceScaling", "config": glorot},
        "bias_initializer": {"class_name": "Zeros", "config": {}},
    }
    kept = {name: value for name, value in config.items() if name not in ("quantization_config", "groups")}
    return kept | {"dtype": "float32"} | {name: value for name, value in named.items() if name in config}


def small_app_of_keras_2(path: Path) -> Path:
    """Save the small network as Keras 2.3 did: bare class names, `batch_input_shape`, other names of weights."""
    network = small_app()
    layer_configs = [
        {"class_name": type(layer).__name__, "config": _keras_2(layer.get_config())} for layer in network.layers
    ]
    layer_configs[0]["config"]["batch_input_shape"] = [None, 32, 32, 3]
    config = {"class_name": "Sequential", "config": {"name": "sequential_1", "layers": layer_configs}}
    training = {"optimizer_config": {"class_name": "Adam", "config": {"lr": 0.001}}, "loss": "categorical_crossentropy"}
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = b"2.3.1"
        file.attrs["backend"] = b"tensorflow"
        file.attrs["model_config"] = json.dumps(config).encode()
        file.attrs["training_config"] = json.dumps(training).encode()
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [layer.name.encode() for layer in network.layers]
        for layer in network.layers:
            names = [f"{layer.name}/{kind}:0" for kind in ("kernel", "bias")][: len(layer.weights)]
            group = weights.create_group(layer.name)
            group.attrs["weight_names"] = np.array([name.encode() for name in names], "S64")
            for name, values in zip(names, layer.get_weights(), strict=True):
                group.create_dataset(name, data=values)
    return path


def with_config(source: Path, target: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Copy a model file with a changed configuration."""
    if source.suffix == ".h5":
        target.write_bytes(source.read_bytes())
        with h5py.File(target, "r+") as file:
            config = json.loads(file.attrs["model_config"])
            change(config)
            file.attrs["model_config"] = json.dumps(config)
        return target
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                change(config)
                content = json.dumps(config).encode()
            new.writestr(name, content)
    return target


def with_weights(source: Path, target: Path, change: Callable[[h5py.File], None]) -> Path:
    """Copy a `.keras` file with changed weights."""
    weights = target.with_name("weights.h5")
    with zipfile.ZipFile(source) as old:
        weights.write_bytes(old.read("model.weights.h5"))
        with h5py.File(weights, "r+") as file:
            change(file)
        with zipfile.ZipFile(target, "w") as new:
            for name in old.namelist():
                new.writestr(name, weights.read_bytes() if name == "model.weights.h5" else old.read(name))
    weights.unlink()
    return target


def lambda_that_makes(marker: Path, path: Path) -> Path:
    """Save a network whose Lambda layer creates the folder `marker` when it runs."""
    name = str(marker)
    make = lambda values: [__import__("os").makedirs(name, exist_ok=True), values][1]  # noqa: E731  # its code is saved
    network = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Lambda(make, output_shape=(32, 32, 3), name="sneaky"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    saved(network, path)
    return path
