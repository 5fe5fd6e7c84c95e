"""Look into a model file that a stranger sent, before Keras does: what it is, its configuration, and its sizes.

Nothing of it is run here. A `.keras` file is a ZIP with the configuration as JSON and the weights as HDF5; a `.h5` file
is HDF5 with both. HDF5 can point to other files of this machine, and hold values that take much less room than memory.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from shared.domain.errors import InvalidRequest
from shared.models.import_queue import MAX_MODEL_BYTES, file_extension

#: Members of the ZIP that Keras writes; an `assets` folder is written by layers that handle text only.
CONFIG, WEIGHTS, METADATA = "config.json", "model.weights.h5", "metadata.json"
#: Bytes of the configuration: that of a network with a thousand layers has one million.
MAX_CONFIG_BYTES = 8 * 1024 * 1024
#: Bytes of all values in memory: twice the file, for those who have compressed it.
MAX_VALUE_BYTES = 2 * MAX_MODEL_BYTES
#: Groups and arrays in the file; a network of a thousand layers has ten thousand.
MAX_OBJECTS = 100_000
#: Kinds of NumPy's dtypes that weights and their names have; bfloat16 is stored as raw bytes (V).
VALUE_KINDS = "biufVS"
#: What the readers of ZIP, HDF5 and JSON raise for a file that is damaged.
BROKEN = (zipfile.BadZipFile, OSError, RuntimeError, ValueError, KeyError, TypeError, EOFError, NotImplementedError)

Config = dict[str, Any]


def read_config(path: Path) -> Config:
    """The configuration in a model file, after a look at everything else in it. Raises InvalidRequest with a reason."""
    with path.open("rb") as file:
        ending = file_extension(file.read(8))
    if ending is None:
        raise InvalidRequest("this is neither a .keras nor a .h5 file")
    if path.suffix != ending:
        raise InvalidRequest(f"the name of a file like this one must end in {ending} for Keras to read it")
    with _broken_is_refused(ending):
        text = _from_zip(path) if ending == ".keras" else _from_hdf5(path)
        config = json.loads(text)
    if not isinstance(config, dict):
        raise InvalidRequest("the model's configuration is no JSON object")
    return config


def _from_zip(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive, tempfile.TemporaryFile(dir=path.parent) as weights:
        _check_members(archive.infolist())
        with archive.open(WEIGHTS) as member:
            shutil.copyfileobj(member, weights)
        with h5py.File(weights, "r") as file:
            _check_values(file)
        return archive.read(CONFIG)


def _check_members(members: list[zipfile.ZipInfo]) -> None:
    names = [member.filename for member in members]
    unknown = sorted(set(names) - {CONFIG, WEIGHTS, METADATA})
    if unknown:
        raise InvalidRequest(f"the file holds {unknown[0][:100]!r}, which no network for images needs")
    if len(set(names)) < len(names) or not {CONFIG, WEIGHTS} <= set(names):
        raise InvalidRequest(f"the file must hold {CONFIG} and {WEIGHTS} once each")
    for member in members:
        _check_size(
            member.filename, member.file_size, MAX_VALUE_BYTES if member.filename == WEIGHTS else MAX_CONFIG_BYTES
        )


def _from_hdf5(path: Path) -> bytes | str:
    with h5py.File(path, "r") as file:
        _check_values(file)
        text: bytes | str | None = file.attrs.get("model_config")
    if text is None:
        raise InvalidRequest("the file holds weights only: save the whole model, with `model.save`")
    _check_size("the configuration", len(text), MAX_CONFIG_BYTES)
    return text


def _check_values(file: h5py.File) -> None:
    """Raise InvalidRequest where the arrays are too big, or do not lie in this file."""
    total = 0
    for array in _arrays(file):
        if array.external or array.is_virtual:
            raise InvalidRequest(f"the array {array.name} lies in another file")
        if array.dtype.kind not in VALUE_KINDS:
            raise InvalidRequest(f"the array {array.name} holds {array.dtype}, which are no weights")
        total += array.nbytes
        _check_size("the weights", total, MAX_VALUE_BYTES)


def _arrays(file: h5py.File) -> Iterator[h5py.Dataset]:
    """Every array, each group once: hard links may make circles."""
    waiting, seen = [file["/"]], set[int]()
    while waiting:
        group = waiting.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise InvalidRequest(f"{group.name}/{name} is a link to another place")
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
        raise InvalidRequest(f"{what} would have {size} bytes in memory; at most {limit} are allowed")


@contextmanager
def _broken_is_refused(ending: str) -> Iterator[None]:
    try:
        yield
    except BROKEN as error:
        raise InvalidRequest(f"the {ending} file is damaged: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """What an error says, short enough for a sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:300]
