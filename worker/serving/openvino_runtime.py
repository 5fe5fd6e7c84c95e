"""Inference with OpenVINO, faster than TensorFlow on a CPU, with a fraction of its start-up time and memory.

A version is converted from Keras once, when it is published, into one zip archive next to it: the layers (XML) and the
weights, in OpenVINO's format. See docs/decisions/0012-openvino.md.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.domain.preprocessing import Preprocessing
from worker.serving import keras_runtime
from worker.serving.forward import EMBEDDING, FEATURES, PROBABILITIES, ModelUnusable, Network, Outputs
from worker.serving.network import LoadedNetwork
from worker.serving.pooling import find_pooled_end

#: The members of the archive.
LAYERS, WEIGHTS = "network.xml", "network.bin"

#: Maximum images per pass, so that intermediate results fit into the CPU cache.
BATCH_SIZE = 32
#: Share of a batch that may be black images, instead of one more pass: a pass costs less than most images do.
PADDING = 1 / 8


def export(
    model: Any, file: Path, embedding: str | None = None, preprocessing: Preprocessing = keras_runtime.NONE
) -> None:
    """Convert a Keras model (images to probabilities) and its preprocessing, and write both to `file`.

    If `embedding` is the name of a layer, the network also outputs what that layer does. Weights are written as float16
    if nothing is lost by that.

    If OpenVINO cannot express the model, raise whatever TensorFlow or OpenVINO raises, which may be of any type.
    """
    graph = keras_runtime.graph(model, embedding, preprocessing).get_concrete_function()
    names = sorted(graph.structured_outputs)
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        layers, weights = Path(folder) / LAYERS, Path(folder) / WEIGHTS
        save_frozen(keras_runtime.frozen(graph), names, layers, half=is_half(model.get_weights()))
        _archive(layers, weights, file)


def save_frozen(frozen: Any, names: Iterable[str], file: Path, *, half: bool) -> None:
    """Write a frozen TensorFlow function as `file` (XML), and its weights beside it, as float16 if `half`.

    `names` are those of the outputs, in their order.
    """
    import tensorflow as tf  # noqa: PLC0415  # needed only to publish a version

    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        tf.io.write_graph(frozen.graph, folder, "graph.pb", as_text=False)
        network = library().Core().read_model(Path(folder) / "graph.pb")
        for output, name in zip(network.outputs, names, strict=True):
            output.get_tensor().set_names({name})
        library().save_model(network, file, compress_to_fp16=half)


def _archive(layers: Path, weights: Path, file: Path) -> None:
    with zipfile.ZipFile(file, "x") as archive:
        archive.write(layers, LAYERS, zipfile.ZIP_DEFLATED)
        archive.write(weights, WEIGHTS)


def write_network(network: Any, file: Path) -> None:
    """Write an `openvino.Model` to a new archive `file`."""
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        layers, weights = Path(folder) / LAYERS, Path(folder) / WEIGHTS
        library().serialize(network, layers, weights)
        _archive(layers, weights, file)


def with_last_layer(network: Any, weights: NDArray[np.float32], bias: NDArray[np.float32]) -> Any:
    """Return a Backbone's `openvino.Model` whose only output are the probabilities of another last layer."""
    library()
    from openvino import Model, opset13  # noqa: PLC0415  # see `library`

    embedding = network.output(EMBEDDING).get_node().input_value(0)
    logits = opset13.add(opset13.matmul(embedding, weights, False, False), bias)  # nothing is transposed
    probabilities = opset13.softmax(logits, 1)
    probabilities.output(0).get_tensor().set_names({PROBABILITIES})
    return Model([probabilities], network.get_parameters(), "head")


def read_network(file: Path) -> Any:
    """Return the `openvino.Model` in a file that `export` wrote. Raise OpenVINO's and the ZIP reader's errors."""
    openvino = library()
    with zipfile.ZipFile(file) as archive:
        weights = np.frombuffer(archive.read(WEIGHTS), np.uint8)
        return openvino.Core().read_model(archive.read(LAYERS), openvino.Tensor(weights))


def is_half(weights: Iterable[NDArray[Any]]) -> bool:
    """Return whether all weights are the same as float16."""
    with np.errstate(over="ignore"):
        return all(np.array_equal(array, array.astype(np.float16)) for array in weights)


def load(file: Path, threads: int) -> Network:
    """Return the network in a file that `export` wrote, running on `threads` cores. Raise ModelUnusable."""
    return load_network(file, threads).classify


def load_network(file: Path, threads: int) -> LoadedNetwork:
    """Return the network in a file that `export` wrote with all its outputs. Raise ModelUnusable."""
    try:
        network = read_network(file)
        end = find_pooled_end(_probabilities(network))
        if end is not None:
            end.features.get_tensor().add_names({FEATURES})
            network.add_outputs([end.features])
        compiled = library().Core().compile_model(network, "CPU", configuration(threads))
    except Exception as error:  # its own RuntimeError, and those of the ZIP reader
        raise ModelUnusable(f"OpenVINO cannot load {file.parent.name}/{file.name}: {error}") from error
    places = {name: place for place, output in enumerate(compiled.outputs) for name in output.get_names()}
    answers = {PROBABILITIES: compiled.outputs.index(_probabilities(compiled))}
    answers |= {EMBEDDING: places[EMBEDDING]} if EMBEDDING in places else {}
    infer = _one_at_a_time(compiled)
    largest = _largest_batch(compiled)
    run = _in_batches(lambda images: infer(images, answers), largest)
    if end is None:
        return LoadedNetwork(run)
    pooled = _in_batches(lambda images: infer(images, {FEATURES: places[FEATURES]}), largest)
    return LoadedNetwork(run, lambda images: end.in_order(pooled(images)[FEATURES]), end.weights)


def configuration(threads: int) -> dict[str, Any]:
    """Return how a network is compiled for `threads` cores."""
    return {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,  # every process would be pinned to the same cores
        "INFERENCE_PRECISION_HINT": "f32",  # results must not depend on the CPU's features
    }


def _probabilities(network: Any) -> Any:
    """Return the output with the probabilities, which older files do not name: it is their only one."""
    return next((output for output in network.outputs if PROBABILITIES in output.get_names()), network.outputs[0])


def load_file(file: Path) -> Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], ...]]:
    """Return the network in a file of any format that OpenVINO reads, from images to all outputs in their order.

    Raises OpenVINO's errors.
    """
    config = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = library().Core().compile_model(library().Core().read_model(file), "CPU", config)

    def run(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        results = compiled([images])
        return tuple(results[place] for place in range(len(compiled.outputs)))

    return run


def library() -> Any:
    """Return OpenVINO's package, imported only after the fork because it starts threads.

    Its telemetry is disabled: it would report every import to Intel and write into the home folder.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino  # noqa: PLC0415

    return openvino


def _one_at_a_time(compiled: Any) -> Callable[[NDArray[np.uint8], Mapping[str, int]], dict[str, NDArray[np.float32]]]:
    """Return a network that shares one inference request, and so one buffer, among threads.

    It returns the outputs at the wanted places, by name.
    """
    request, lock = compiled.create_infer_request(), threading.Lock()

    def infer(images: NDArray[np.uint8], places: Mapping[str, int]) -> dict[str, NDArray[np.float32]]:
        with lock:
            results = request.infer([images], share_inputs=True, share_outputs=True)
            return {name: results[place].copy() for name, place in places.items()}

    return infer


def _largest_batch(compiled: Any) -> int:
    """Return the images in a pass: BATCH_SIZE, or one if the network takes no more, as some that were imported."""
    size = compiled.input(0).get_partial_shape()[0]
    return size.get_length() if size.is_static else BATCH_SIZE


def _in_batches(infer: Outputs, largest: int) -> Outputs:
    """Return `infer` in batches whose sizes are powers of two: OpenVINO compiles for each new size."""

    def network(images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        parts, start = [], 0
        for size in batch_sizes(len(images), largest):
            batch = images[start : start + size]
            parts.append((infer(_padded(batch, size)), len(batch)))
            start += size
        return {name: np.concatenate([part[name][:rows] for part, rows in parts]) for name in parts[0][0]}

    return network


def batch_sizes(count: int, largest: int) -> list[int]:
    """Return the sizes of the batches for `count` images. In the last one, PADDING of the images may be black ones."""
    sizes, left = [largest] * (count // largest), count % largest
    while left > 0:
        size = 1 << (left - 1).bit_length()
        sizes.append(size if size - left <= size * PADDING else size // 2)
        left -= sizes[-1]
    return sizes or [1]


def _padded(batch: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return the batch, padded with black images to `size`."""
    if size == len(batch):
        return np.ascontiguousarray(batch)
    return np.concatenate([batch, np.zeros((size - len(batch), *batch.shape[1:]), np.uint8)])
