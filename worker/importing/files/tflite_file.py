"""TFLite (LiteRT) files: how their inputs and outputs are quantized, and what their metadata states.

The numbers of the fields are those of TensorFlow's `schema.fbs` and of `metadata_schema.fbs`. The files that the
metadata names are in a ZIP archive at the end of the file.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from shared.domain.errors import InvalidRequest
from shared.domain.text import decode_text
from shared.models.labels import parse_labels
from worker.importing.files.flatbuffer import Table
from worker.importing.files.unpacked import Unpacked, check_names, linear
from worker.importing.input_range import InputRange

#: Fields of a model: graphs, buffers, metadata (name, buffer); of a graph: tensors, inputs, outputs; of a tensor.
SUBGRAPHS, BUFFERS, METADATA = 2, 4, 6
TENSORS, INPUTS, OUTPUTS = 0, 1, 2
TYPE, QUANTIZATION, SCALE, ZERO_POINT = 1, 4, 2, 3
#: Types of tensors with whole numbers, and their smallest and largest values.
WHOLE = {3: (0, 255), 9: (-128, 127)}
#: The name of the image metadata, and its fields: graphs; of a graph: inputs and outputs; of a tensor.
NAME, DESCRIBED_GRAPHS, DESCRIBED_INPUTS, DESCRIBED_OUTPUTS = "TFLITE_METADATA", 3, 2, 3
STEPS, FILES = 4, 6
#: The kind of a step that normalizes, and the kind of a file that lists labels.
NORMALIZATION, LABEL_FILE = 1, 2
#: Bytes of a list of labels.
MAX_LABEL_BYTES = 256 * 1024


@dataclass(frozen=True)
class Quantization:
    """A tensor of whole numbers from `low` to `high`; each stands for (number − zero) × scale."""

    scale: float
    zero: int
    low: int
    high: int


@dataclass(frozen=True)
class Quantizations:
    """How the input and the output are quantized; None if they are not."""

    input: Quantization | None
    output: Quantization | None


def read_tflite(file: Path) -> Unpacked:
    """Return what a TFLite file states. Raises InvalidRequest if it is damaged."""
    content = file.read_bytes()
    try:
        described = _metadata(Table.root(content))
        return Unpacked(file, "tflite", _labels(described, content), _normalization(described))
    except (struct.error, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
        raise _damaged() from error


def quantizations(file: Path) -> Quantizations:
    """Return how the first input and the first output are quantized. Raises InvalidRequest if the file is damaged."""
    try:
        graph = Table.root(file.read_bytes()).tables(SUBGRAPHS)[0]
        tensors = graph.tables(TENSORS)
        first, last = (graph.numbers(field, "i")[0] for field in (INPUTS, OUTPUTS))
        return Quantizations(_quantization(tensors[first]), _quantization(tensors[last]))
    except (struct.error, IndexError) as error:
        raise _damaged() from error


def _quantization(tensor: Table) -> Quantization | None:
    ends, how = WHOLE.get(tensor.number(TYPE, "b")), tensor.table(QUANTIZATION)
    scales = how.numbers(SCALE, "f") if how else []
    if ends is None or how is None or len(scales) != 1 or not 0 < scales[0] < float("inf"):
        return None
    zeros = how.numbers(ZERO_POINT, "q")
    return Quantization(scales[0], zeros[0] if zeros else 0, *ends)


def _metadata(model: Table) -> Table | None:
    """Return the description of the first graph."""
    buffers = model.tables(BUFFERS)
    for entry in model.tables(METADATA):
        number = entry.number(1, "I")
        if entry.content(0).decode(errors="replace") == NAME and number < len(buffers):
            graphs = Table.root(buffers[number].content(0)).tables(DESCRIBED_GRAPHS)
            return graphs[0] if graphs else None
    return None


def _normalization(described: Table | None) -> InputRange | None:
    for tensor in described.tables(DESCRIBED_INPUTS)[:1] if described else []:
        for step in tensor.tables(STEPS):
            options = step.table(1)
            if step.number(0, "B") == NORMALIZATION and options:
                mean, deviation = options.numbers(0, "f"), options.numbers(1, "f")
                return linear(mean, deviation, "the metadata in the file")
    return None


def _labels(described: Table | None, content: bytes) -> tuple[str, ...] | None:
    for tensor in described.tables(DESCRIBED_OUTPUTS)[:1] if described else []:
        for file in tensor.tables(FILES):
            if file.number(2, "b") == LABEL_FILE:
                return _listed(file.content(0).decode(errors="replace"), content)
    return None


def _listed(name: str, content: bytes) -> tuple[str, ...] | None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if name not in archive.namelist():
            return None
        if archive.getinfo(name).file_size > MAX_LABEL_BYTES:
            raise InvalidRequest(f"{name[:100]} in the file is too large for a list of labels")
        return check_names(parse_labels(decode_text(archive.read(name), name)), f"{name[:100]} in the file")


def _damaged() -> InvalidRequest:
    return InvalidRequest("the .tflite file is damaged")
