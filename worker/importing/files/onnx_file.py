"""ONNX files: what is refused before OpenVINO reads them, and what their metadata states.

A file can refer to weights in other files, by any path. The numbers of the fields are those of `onnx.proto3`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from shared.domain.errors import InvalidRequest
from shared.domain.preprocessing import PREPROCESSINGS, Channels, Preprocessing, ValueRange
from worker.importing.files.protobuf import Field, all_of, fields, written
from worker.importing.files.unpacked import Unpacked, stated
from worker.importing.input_range import InputRange

#: Fields of a model: the graph, the metadata, and the functions of its own.
GRAPH, METADATA, FUNCTIONS = 7, 14, 25
#: Fields of a graph: operations, weights, outputs, and sparse weights (their values and indices).
NODE, WEIGHTS, OUTPUT, SPARSE = 1, 5, 12, 15
#: Fields of an operation: inputs, outputs, its type, its attributes, and the set that the type belongs to.
NODE_INPUT, NODE_TYPE, ATTRIBUTE = 1, 4, 5
#: Fields of an attribute: a tensor, tensors, graphs, and sparse tensors.
TENSORS, GRAPHS, SPARSE_TENSORS = (5, 10), (6, 11), (22, 23)
#: Fields of a tensor: where its values are, if they are in another file.
EXTERNAL_DATA, DATA_LOCATION = 13, 14
#: Graphs inside each other, at most.
MAX_DEPTH = 8
#: The operation that turns scores into a map from labels to scores, as Custom Vision and scikit-learn do.
ZIP_MAP = "ZipMap"
#: Values of `Image.NominalPixelRange`, and of `Image.BitmapPixelFormat`, in the metadata that ONNX defines for images.
RANGES: dict[str, ValueRange] = {
    "NominalRange_0_255": "0-255",
    "Normalized_0_1": "0-1",
    "Normalized_1_1": "-1..1",
}
FORMATS: dict[str, Channels] = {"Rgb8": "RGB", "Rgba8": "RGB", "Bgr8": "BGR", "Bgra8": "BGR"}


def read_onnx(file: Path, folder: Path) -> Unpacked:
    """Return what an ONNX file states. If its output is a map of scores, a copy in `folder` outputs the scores.

    Raises InvalidRequest if weights are outside the file, or it is damaged.
    """
    content = memoryview(file.read_bytes())
    for graph in all_of(content, GRAPH):
        _check_graph(graph, MAX_DEPTH)
    for node in all_of(content, FUNCTIONS, 7):
        _check_node(node, MAX_DEPTH)
    shortened = _without_map(content)
    if shortened is not None:
        file = folder / "scores.onnx"
        file.write_bytes(shortened)
    return Unpacked(file, "onnx", stated=_stated(content))


def _check_graph(graph: memoryview, depth: int) -> None:
    if not depth:
        raise InvalidRequest(f"the graphs in the file are nested more than {MAX_DEPTH} deep")
    for field in fields(graph):
        if field.number == WEIGHTS:
            _check_tensor(field.message)
        elif field.number == SPARSE:
            _check_sparse(field.message)
        elif field.number == NODE:
            _check_node(field.message, depth)


def _check_node(node: memoryview, depth: int) -> None:
    for attribute in all_of(node, ATTRIBUTE):
        for field in fields(attribute):
            if field.number in TENSORS:
                _check_tensor(field.message)
            elif field.number in SPARSE_TENSORS:
                _check_sparse(field.message)
            elif field.number in GRAPHS:
                _check_graph(field.message, depth - 1)


def _check_sparse(tensor: memoryview) -> None:
    for field in fields(tensor):
        if field.number in (1, 2):
            _check_tensor(field.message)


def _check_tensor(tensor: memoryview) -> None:
    for field in fields(tensor):
        if field.number == EXTERNAL_DATA or (field.number == DATA_LOCATION and field.value):
            raise InvalidRequest(
                "the weights of the network are in another file: save it as one file, with `onnx.save(model, "
                "'model.onnx', save_as_external_data=False)`"
            )


def _without_map(content: memoryview) -> bytes | None:
    """Return the model whose output are the scores from which ZIP_MAP makes a map; None if it does not."""
    if sum(1 for _ in all_of(content, GRAPH)) != 1:
        return None
    graph = next(all_of(content, GRAPH))
    maps = [field for field in fields(graph) if field.number == NODE and _is_map(field.message)]
    if len(maps) != 1:
        return None
    scores = next(all_of(maps[0].message, NODE_INPUT), memoryview(b""))
    kept = (field for field in fields(graph) if field.number != OUTPUT and field.raw != maps[0].raw)
    parts = [*(bytes(field.raw) for field in kept), written(OUTPUT, written(1, bytes(scores)))]
    others = [bytes(field.raw) for field in fields(content) if field.number != GRAPH]
    return b"".join([*others, written(GRAPH, b"".join(parts))])


def _is_map(node: memoryview) -> bool:
    return any(field.number == NODE_TYPE and field.text == ZIP_MAP for field in fields(node))


def _stated(content: memoryview) -> InputRange | None:
    said = dict(_properties(content))
    name, order = (
        RANGES.get(said.get("Image.NominalPixelRange", "")),
        FORMATS.get(said.get("Image.BitmapPixelFormat", "")),
    )
    if name is None or order is None:
        return None
    how = PREPROCESSINGS[name]
    return stated(Preprocessing(scale=how.scale, offset=how.offset, channels=order), "the metadata in the file")


def _properties(content: memoryview) -> Iterator[tuple[str, str]]:
    for entry in all_of(content, METADATA):
        pair: dict[int, Field] = {field.number: field for field in fields(entry)}
        if 1 in pair and 2 in pair:
            yield pair[1].text, pair[2].text
