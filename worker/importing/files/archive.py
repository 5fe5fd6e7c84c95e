"""Archives that hold a model: a zipped SavedModel or OpenVINO network, and those that other programs export.

A `.keras` file is a ZIP as well; it is known by its members. Members are copied under names of our own.
"""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

from shared.domain.errors import InvalidRequest
from shared.domain.preprocessing import PREPROCESSINGS
from shared.domain.text import decode_text
from shared.models.import_queue import MAX_MODEL_BYTES, file_extension
from shared.models.labels import are_numbered, parse_labels
from worker.importing.files.onnx_file import read_onnx
from worker.importing.files.statements import READ, read_statements
from worker.importing.files.tflite_file import read_tflite
from worker.importing.files.unpacked import Format, Unpacked, check_names
from worker.importing.input_range import InputRange
from worker.importing.model_file import CONFIG

#: The labels, and their bytes at most; and the bytes of all members of a model, which archives compress.
LABELS, MAX_LABEL_BYTES, MAX_BYTES = "labels.txt", 256 * 1024, 2 * MAX_MODEL_BYTES
#: Errors that the ZIP reader raises for a damaged archive.
BROKEN = (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, NotImplementedError, EOFError, ValueError)
#: Members by which the files of other programs are known that cannot be imported.
FOREIGN = {
    "data.pkl": "a file of PyTorch: export the network with `torch.onnx.export` and import that",
    "model.json": "a model of TensorFlow.js: import what it was converted from",
    "model.mlmodel": "a model of Core ML: import what it was converted from",
}
#: Endings of files with a network, in the order in which they are looked for.
ENDINGS: dict[str, Format] = {
    ".h5": "h5",
    ".keras": "keras",
    ".onnx": "onnx",
    ".tflite": "tflite",
    "saved_model.pb": "savedmodel",
    ".xml": "openvino",
    ".pb": "graph",
}
#: Files beside a SavedModel with its weights.
VARIABLES = "variables/variables."
#: Names of the networks that Teachable Machine exports, in any folder; all take values from −1 to 1. The last one is
#: quantized, and common: it is Teachable Machine's if its labels are numbered.
TEACHABLE = {"keras_model.h5", "model_unquant.tflite", "model.savedmodel/saved_model.pb"}
QUANTIZED = "model.tflite"


def unpack(file: Path, folder: Path) -> Unpacked:
    """Return the network in an upload, copied to `folder` if it is in an archive. Raises InvalidRequest."""
    with file.open("rb") as content:
        ending = file_extension(content.read(8))
    if ending == ".onnx":
        return read_onnx(file, folder)
    if ending == ".tflite":
        return read_tflite(file)
    if ending == ".keras" and zipfile.is_zipfile(file):
        return _in_archive(file, folder)
    return Unpacked(file, "h5" if file.suffix == ".h5" else "keras")


def _in_archive(file: Path, folder: Path) -> Unpacked:
    try:
        with ZipFile(file) as archive:
            names = [name for name in archive.namelist() if not _is_junk(name)]
            if CONFIG in names:
                return Unpacked(file, "keras")
            return _unpacked(archive, names, folder)
    except BROKEN as error:
        raise InvalidRequest(f"the archive is damaged: {error}") from error


def _is_junk(name: str) -> bool:
    return name.endswith("/") or name.startswith("__MACOSX/") or PurePosixPath(name).name.startswith(".")


def _unpacked(archive: ZipFile, names: list[str], folder: Path) -> Unpacked:
    found = _find(names)
    if found is None:
        raise InvalidRequest(_without_network(names))
    name, kind = found
    loaded = _read(_copy(archive, name, kind, names, folder), kind, folder)
    said = read_statements({base: _text(archive, each) for each in names if (base := PurePosixPath(each).name) in READ})
    lines = next((_lines(archive, each) for each in names if PurePosixPath(each).name == LABELS), None)
    is_teachable = lines is not None and _is_teachable(name, lines)
    return Unpacked(
        loaded.file,
        kind,
        said.labels or (None if lines is None else _labels(lines)) or loaded.labels,
        said.stated or loaded.stated or (_teachable() if is_teachable and not _ends_in(name, QUANTIZED) else None),
        said.output,
        "crop" if is_teachable else said.resize,
    )


def _find(names: list[str]) -> tuple[str, Format] | None:
    """Return the member with the network, and its format. Raises InvalidRequest if there are two of a format."""
    for ending, kind in ENDINGS.items():
        found = [name for name in names if name.lower().endswith(ending)]
        if len(found) > 1:
            raise InvalidRequest(f"the archive has several models: {found[0][:100]!r} and {found[1][:100]!r}")
        if found:
            return found[0], kind
    return None


def _without_network(names: list[str]) -> str:
    members = {PurePosixPath(name).name for name in names}
    kind = next((what for name, what in FOREIGN.items() if name in members), None)
    example = f"; it has {names[0][:100]!r}" if names else ""
    return f"this is {kind}" if kind else f"the archive has no model that Darkroom knows{example}"


def _copy(archive: ZipFile, name: str, kind: Format, names: list[str], folder: Path) -> Path:
    """Copy the network, and the files that belong to it, and return the path."""
    if kind == "savedmodel":
        return _copy_saved_model(archive, name, names, folder / "saved_model")
    main = folder / f"model.{'xml' if kind == 'openvino' else 'pb' if kind == 'graph' else kind}"
    wanted = {main: name}
    if kind == "openvino":
        weights = f"{name[: -len('.xml')]}.bin"
        if weights not in names:
            raise InvalidRequest(
                f"the archive has {name[:100]!r} without its weights, {PurePosixPath(weights).name[:100]!r}"
            )
        wanted[main.with_suffix(".bin")] = weights
    _copy_all(archive, wanted)
    return main


def _copy_saved_model(archive: ZipFile, name: str, names: list[str], folder: Path) -> Path:
    """Copy the graph and the variables; what a SavedModel has beside them is not needed, and not read."""
    start = name[: -len("saved_model.pb")]
    ends = [each[len(start) :] for each in names if each.startswith(start + VARIABLES)]
    wanted = {folder / "saved_model.pb": name}
    for end in ends:
        if not end[len(VARIABLES) :].replace("-", "").isalnum():
            raise InvalidRequest(f"the SavedModel has a file with a strange name, {end[:100]!r}")
        wanted[folder / end] = start + end
    (folder / "variables").mkdir(parents=True)
    _copy_all(archive, wanted)
    return folder


def _copy_all(archive: ZipFile, wanted: Mapping[Path, str]) -> None:
    size = sum(archive.getinfo(name).file_size for name in wanted.values())
    if size > MAX_BYTES:
        raise InvalidRequest(f"the model in the archive has {size} bytes; the limit is {MAX_BYTES}")
    for path, name in wanted.items():
        with archive.open(name) as source, path.open("xb") as copy:
            shutil.copyfileobj(source, copy)


def _read(file: Path, kind: Format, folder: Path) -> Unpacked:
    if kind == "onnx":
        return read_onnx(file, folder)
    return read_tflite(file) if kind == "tflite" else Unpacked(file, kind)


def _text(archive: ZipFile, name: str) -> bytes:
    """Return the content of a small file; empty if it is too large to describe a model."""
    return archive.read(name) if archive.getinfo(name).file_size <= MAX_LABEL_BYTES else b""


def _lines(archive: ZipFile, name: str) -> str:
    size = archive.getinfo(name).file_size
    if size > MAX_LABEL_BYTES:
        raise InvalidRequest(f"{LABELS} in the archive has {size} bytes; the limit is {MAX_LABEL_BYTES}")
    return decode_text(archive.read(name), LABELS)


def _labels(lines: str) -> tuple[str, ...]:
    return check_names(parse_labels(lines), f"{LABELS} in the archive")


def _is_teachable(name: str, lines: str) -> bool:
    known = any(_ends_in(name, each) for each in TEACHABLE)
    return known or (_ends_in(name, QUANTIZED) and are_numbered(lines))


def _ends_in(name: str, end: str) -> bool:
    return f"/{name}".endswith(f"/{end}")


def _teachable() -> InputRange:
    note = "Pixel values: −1 to 1, as all models of Teachable Machine take them."
    return InputRange(PREPROCESSINGS["-1..1"], "Teachable Machine", note)
