"""Edit a `.keras` archive (a ZIP of the layers as JSON and the weights as HDF5) without TensorFlow.

Loading TensorFlow takes longer than training a Head.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

CONFIG: Final = "config.json"
WEIGHTS: Final = "model.weights.h5"

#: The class of the last layer.
_DENSE: Final = "Dense"


def halve(source: Path, target: Path) -> None:
    """Write a copy of `source` with its float32 weights stored as float16. Keras loads them as float32."""
    _rewrite(source, target, lambda config: config, _halve_all)


def replace_last_layer(
    source: Path, target: Path, name: str, weights: NDArray[np.float32], bias: NDArray[np.float32]
) -> None:
    """Write a copy of `source` whose `Dense` layer called `name` has `weights` (inputs, units) and `bias`."""
    with zipfile.ZipFile(source) as archive:
        folder = _folder_of(json.loads(archive.read(CONFIG)), name)

    def resize(config: dict[str, Any]) -> dict[str, Any]:
        layer = next(each for each in config["config"]["layers"] if each["config"]["name"] == name)
        layer["config"]["units"] = len(bias)
        return config

    def replace(file: h5py.File) -> None:
        for place, values in enumerate((weights, bias)):
            del file[f"{folder}/{place}"]
            file[f"{folder}/{place}"] = values

    _rewrite(source, target, resize, replace)


def _folder_of(config: dict[str, Any], name: str) -> str:
    """Return where the HDF5 file has the weights of a `Dense` layer: Keras numbers the layers of a class in order."""
    dense = [each["config"]["name"] for each in config["config"]["layers"] if each["class_name"] == _DENSE]
    number = dense.index(name)
    return f"layers/dense_{number}/vars" if number else "layers/dense/vars"


def _halve_all(file: h5py.File) -> None:
    names: list[str] = []
    file.visititems(lambda name, node: names.append(name) if isinstance(node, h5py.Dataset) else None)
    for name in names:
        values = file[name][...]
        if values.dtype == np.float32:
            del file[name]
            file[name] = values.astype(np.float16)


def _rewrite(
    source: Path,
    target: Path,
    change_config: Callable[[dict[str, Any]], dict[str, Any]],
    change_weights: Callable[[h5py.File], None],
) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "x") as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename == CONFIG:
                content = json.dumps(change_config(json.loads(content))).encode()
            if entry.filename == WEIGHTS:
                content = _repacked(content, change_weights)
            new.writestr(entry.filename, content)


def _repacked(content: bytes, change: Callable[[h5py.File], None]) -> bytes:
    """Return an HDF5 file after a change, copied: a deleted array would leave its bytes in the file."""
    packed = io.BytesIO()
    with h5py.File(io.BytesIO(content), "r") as file, h5py.File.in_memory() as changed:
        for name in file:
            file.copy(name, changed)
        changed.attrs.update(file.attrs)
        change(changed)
        with h5py.File(packed, "w") as clean:
            for name in changed:
                changed.copy(name, clean)
            clean.attrs.update(changed.attrs)
    return packed.getvalue()
