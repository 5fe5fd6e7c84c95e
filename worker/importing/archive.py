"""Archives that hold a model: Teachable Machine's `converted_keras.zip`, and those of other programs.

A `.keras` file is a ZIP as well; it is known by its members.
"""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import TypeAdapter, ValidationError

from shared.domain.errors import InvalidRequest
from shared.domain.text import decode_text
from shared.models.import_queue import MAX_MODEL_BYTES, Labels
from shared.models.labels import parse_labels
from worker.importing.model_file import CONFIG

#: Members of Teachable Machine's archive, whose models take values from −1 to 1; and the most bytes of the labels.
TEACHABLE_MODEL, LABELS, MAX_LABEL_BYTES = "keras_model.h5", "labels.txt", 256 * 1024
#: Members by which the files of other programs are known.
FOREIGN = {
    "saved_model.pb": "a SavedModel of TensorFlow",
    "data.pkl": "a file of PyTorch",
    "model.json": "a model of TensorFlow.js",
}


@dataclass(frozen=True)
class Unpacked:
    """A model file, and what an archive says about it."""

    file: Path
    labels: tuple[str, ...] | None = None
    is_teachable_machine: bool = False


def unpack(file: Path, folder: Path) -> Unpacked:
    """Return the model in an archive, copied to `folder`, or the file itself if it is a model.

    Raises InvalidRequest.
    """
    if not zipfile.is_zipfile(file):
        return Unpacked(file)
    try:
        with zipfile.ZipFile(file) as archive:
            members = {PurePosixPath(name).name: name for name in archive.namelist() if not _is_junk(name)}
            models = [name for name in members if name.lower().endswith((".h5", ".keras"))]
            if CONFIG in members and members[CONFIG] == CONFIG:
                return Unpacked(file)
            if len(models) == 1:
                return _unpacked(archive, members, models[0], folder)
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, EOFError) as error:
        raise InvalidRequest(f"the archive is damaged: {error}") from error
    kind = next((what for name, what in FOREIGN.items() if name in members), None)
    if kind:
        raise InvalidRequest(f"this is {kind}: load it with Keras and save it with `model.save('model.keras')`")
    return Unpacked(file)


def _is_junk(name: str) -> bool:
    return name.startswith("__MACOSX/") or PurePosixPath(name).name.startswith(".")


def _unpacked(archive: zipfile.ZipFile, members: dict[str, str], model: str, folder: Path) -> Unpacked:
    target = folder / f"model{PurePosixPath(model).suffix.lower()}"
    _check_size(archive, members[model], MAX_MODEL_BYTES)
    with archive.open(members[model]) as source, target.open("xb") as copy:
        shutil.copyfileobj(source, copy)
    if LABELS not in members:
        return Unpacked(target)
    _check_size(archive, members[LABELS], MAX_LABEL_BYTES)
    labels = _labels(archive.read(members[LABELS]))
    return Unpacked(target, labels, model == TEACHABLE_MODEL)


def _check_size(archive: zipfile.ZipFile, name: str, limit: int) -> None:
    size = archive.getinfo(name).file_size
    if size > limit:
        raise InvalidRequest(f"{name} in the archive has {size} bytes; the limit is {limit}")


def _labels(content: bytes) -> tuple[str, ...]:
    try:
        return TypeAdapter(Labels).validate_python(tuple(parse_labels(decode_text(content, LABELS))))
    except ValidationError as error:
        raise InvalidRequest(f"{LABELS} in the archive: {error.errors()[0]['msg']}") from error
