"""Load a model file of Keras 2 with a configuration that was converted for Keras 3."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras

from worker.importing.model_file import CONFIG

#: Weights that Keras 3 does not save: the states of random generators.
STATES = re.compile(rb"StateVar(:\d+)?")
#: Attribute of a layer's group that lists its weights.
WEIGHT_NAMES = "weight_names"

Config = dict[str, Any]


def load(file: Path, config: Config, folder: Path) -> Any:
    """Return the network; `folder` is for a changed copy of the file. May raise errors of any type, as Keras does."""
    if file.suffix == ".h5":
        network = keras.saving.deserialize_keras_object(config, safe_mode=True)
        network.load_weights(_without_states(file, folder))
        return network
    return keras.saving.load_model(_with_config(file, config, folder), compile=False, safe_mode=True)


def _without_states(file: Path, folder: Path) -> Path:
    """Return a copy of a `.h5` file that does not list the states of random generators among the weights."""
    copy = Path(shutil.copyfile(file, folder / file.name))
    with h5py.File(copy, "r+") as content:
        for group in content["model_weights"].values():
            names = list(group.attrs.get(WEIGHT_NAMES, []))
            kept = [name for name in names if not STATES.fullmatch(_bytes(name).rsplit(b"/", 1)[-1])]
            if len(kept) < len(names):
                group.attrs[WEIGHT_NAMES] = kept
    return copy


def _bytes(name: Any) -> bytes:
    return name if isinstance(name, bytes) else str(name).encode()


def _with_config(file: Path, config: Config, folder: Path) -> Path:
    """Return a copy of a `.keras` file with another configuration."""
    copy = folder / file.name
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(copy, "w") as new:
        for name in old.namelist():
            with old.open(name) as source, new.open(name, "w") as target:
                if name == CONFIG:
                    target.write(json.dumps(config).encode())
                else:
                    shutil.copyfileobj(source, target)
    return copy
