"""Check an untrusted model file before Keras opens it, and read its configuration.

Runs no code from the file. A `.keras` file is a ZIP with the configuration as JSON and the weights as HDF5; a `.h5`
file is HDF5 with both. HDF5 can refer to other files on this machine, and decompress to far more memory than its size.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from shared.domain.errors import InvalidRequest
from shared.models.import_queue import MAX_MODEL_BYTES, file_extension

#: Members of the ZIP that Keras writes; only layers for text add an `assets` folder.
CONFIG, WEIGHTS, METADATA = "config.json", "model.weights.h5", "metadata.json"
#: Bytes of the configuration: a network with a thousand layers has one million.
MAX_CONFIG_BYTES = 8 * 1024 * 1024
#: Bytes of all values in memory: twice the largest file, to allow for compression.
MAX_VALUE_BYTES = 2 * MAX_MODEL_BYTES
#: Groups and arrays in the file: a network with a thousand layers has ten thousand.
MAX_OBJECTS = 100_000
#: NumPy dtype kinds of weights and their names; bfloat16 is stored as raw bytes (V).
VALUE_KINDS = "biufVS"
#: Errors that the readers of ZIP, HDF5 and JSON raise for a damaged file.
BROKEN = (zipfile.BadZipFile, OSError, RuntimeError, ValueError, KeyError, TypeError, EOFError, NotImplementedError)

Config = dict[str, Any]


@dataclass(frozen=True)
class ModelFile:
    """The configuration in a model file, the version of Keras that wrote it, and the loss of its training as JSON."""

    config: Config
    keras_version: str
    loss: str

    @property
    def is_keras_2(self) -> bool:
        """Return whether Keras 2 wrote the file, or one before it, which did not say so."""
        return not self.keras_version.startswith("3.")


def read_config(path: Path) -> ModelFile:
    """Return the configuration of a model file after checking the rest of the file. Raises InvalidRequest."""
    with path.open("rb") as file:
        ending = file_extension(file.read(8))
    if ending is None:
        raise InvalidRequest("this is neither a .keras nor a .h5 file")
    if path.suffix != ending:
        raise InvalidRequest(f"the file's name must end in {ending}, which is its format")
    with _broken_is_refused(ending):
        text, version, training = _from_zip(path) if ending == ".keras" else _from_hdf5(path)
        config = json.loads(text)
    if not isinstance(config, dict):
        raise InvalidRequest("the model's configuration is not a JSON object")
    training = training or config.get("compile_config")
    return ModelFile(config, version, json.dumps(training.get("loss") if isinstance(training, dict) else None))


def _from_zip(path: Path) -> tuple[bytes, str, Any]:
    """Return the configuration and the version of Keras; how it was trained is in the configuration."""
    with zipfile.ZipFile(path) as archive, tempfile.TemporaryFile(dir=path.parent) as weights:
        _check_members(archive.infolist())
        with archive.open(WEIGHTS) as member:
            shutil.copyfileobj(member, weights)
        with h5py.File(weights, "r") as file:
            _check_values(file)
        metadata = json.loads(archive.read(METADATA)) if METADATA in archive.namelist() else {}
        return archive.read(CONFIG), str(metadata.get("keras_version", "3.")), None


def _check_members(members: list[zipfile.ZipInfo]) -> None:
    names = [member.filename for member in members]
    unknown = sorted(set(names) - {CONFIG, WEIGHTS, METADATA})
    if unknown:
        raise InvalidRequest(f"the file contains {unknown[0][:100]!r}, which an image network does not need")
    if len(set(names)) < len(names) or not {CONFIG, WEIGHTS} <= set(names):
        raise InvalidRequest(f"the file must contain {CONFIG} and {WEIGHTS} once each")
    for member in members:
        _check_size(
            member.filename, member.file_size, MAX_VALUE_BYTES if member.filename == WEIGHTS else MAX_CONFIG_BYTES
        )


def _from_hdf5(path: Path) -> tuple[bytes | str, str, Any]:
    """Return the configuration, the version of Keras, and how it was trained; none but the first must be there."""
    with h5py.File(path, "r") as file:
        _check_values(file)
        text: bytes | str | None = file.attrs.get("model_config")
        version = file.attrs.get("keras_version", b"")
        training = json.loads(file.attrs.get("training_config", "null"))
    if text is None:
        raise InvalidRequest("the file contains only weights: save the whole model with `model.save`")
    _check_size("the configuration", len(text), MAX_CONFIG_BYTES)
    return text, version.decode() if isinstance(version, bytes) else str(version), training


def _check_values(file: h5py.File) -> None:
    """Raise InvalidRequest if the arrays are too big or stored outside this file."""
    total = 0
    for array in _arrays(file):
        if array.external or array.is_virtual:
            raise InvalidRequest(f"the array {array.name} is stored in another file")
        if array.dtype.kind not in VALUE_KINDS:
            raise InvalidRequest(f"the array {array.name} has the type {array.dtype}, which is not a type of weights")
        total += array.nbytes
        _check_size("the weights", total, MAX_VALUE_BYTES)


def _arrays(file: h5py.File) -> Iterator[h5py.Dataset]:
    """Yield every array, visiting each group once: hard links can form cycles."""
    waiting, seen = [file["/"]], set[int]()
    while waiting:
        group = waiting.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise InvalidRequest(f"{group.name}/{name} is a soft or external link")
            member = group[name]
            place = h5py.h5o.get_info(member.id).addr
            if place in seen:
                continue
            seen.add(place)
            if len(seen) > MAX_OBJECTS:
                raise InvalidRequest(f"the file has more than {MAX_OBJECTS} groups and arrays")
            if isinstance(member, h5py.Dataset):
                yield member
            elif isinstance(member, h5py.Group):
                waiting.append(member)


def _check_size(what: str, size: int, limit: int) -> None:
    if size > limit:
        raise InvalidRequest(f"{what} would take {size} bytes of memory; the limit is {limit}")


@contextmanager
def _broken_is_refused(ending: str) -> Iterator[None]:
    try:
        yield
    except BROKEN as error:
        raise InvalidRequest(f"the {ending} file is damaged: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, at most 300 characters, or its type if it has none."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:300]
