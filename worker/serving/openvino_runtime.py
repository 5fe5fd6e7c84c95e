"""Inference with OpenVINO, faster than TensorFlow on a CPU, with a fraction of its start-up time and memory.

A version is converted from Keras once, when it is published, into one zip archive next to it: the layers (XML) and the
weights, in OpenVINO's format. See docs/decisions/0012-openvino.md.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.serving import keras_runtime
from worker.serving.forward import ModelUnusable, Network

#: The members of the archive.
LAYERS, WEIGHTS = "network.xml", "network.bin"

#: Maximum images per pass, so that intermediate results fit into the CPU cache.
BATCH_SIZE = 32


def export(model: Any, file: Path) -> None:
    """Convert a Keras model (images to probabilities) and write it to `file`.

    If OpenVINO cannot express the model, raise whatever TensorFlow or OpenVINO raises, which may be of any type.
    """
    import tensorflow as tf  # noqa: PLC0415  # needed only to publish a version

    openvino, module = _openvino(), tf.Module()
    module.model = model
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        graph = Path(folder) / "graph"
        tf.saved_model.save(module, str(graph), signatures={"serving_default": keras_runtime.graph(model)})
        layers, weights = Path(folder) / LAYERS, Path(folder) / WEIGHTS
        openvino.serialize(openvino.Core().read_model(graph), layers, weights)
        with zipfile.ZipFile(file, "x") as archive:
            archive.write(layers, LAYERS, zipfile.ZIP_DEFLATED)
            archive.write(weights, WEIGHTS)


def load(file: Path, threads: int) -> Network:
    """Return the network in a file that `export` wrote, running on `threads` cores. Raise ModelUnusable."""
    openvino = _openvino()
    core = openvino.Core()
    try:
        with zipfile.ZipFile(file) as archive:
            weights = np.frombuffer(archive.read(WEIGHTS), np.uint8)
            network = core.read_model(archive.read(LAYERS), openvino.Tensor(weights))
        config = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # every process would be pinned to the same cores
            "INFERENCE_PRECISION_HINT": "f32",  # results must not depend on the CPU's features
        }
        compiled = core.compile_model(network, "CPU", config)
    except Exception as error:  # its own RuntimeError, and those of the ZIP reader
        raise ModelUnusable(f"OpenVINO cannot load {file.parent.name}/{file.name}: {error}") from error
    return _in_batches(_one_at_a_time(compiled), tuple(compiled.output(0).partial_shape)[1].get_length())


def _openvino() -> Any:
    """Return the library, imported only after the fork because it starts threads.

    Its telemetry is disabled: it would report every import to Intel and write into the home folder.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino  # noqa: PLC0415

    return openvino


def _one_at_a_time(compiled: Any) -> Network:
    """Return a network that shares one inference request, and so one buffer, among threads."""
    request, lock = compiled.create_infer_request(), threading.Lock()

    def infer(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with lock:
            scores: NDArray[np.float32] = request.infer([images], share_inputs=True)[0]
        return scores

    return infer


def _in_batches(infer: Network, labels: int) -> Network:
    """Return `infer` in batches whose sizes are powers of two: OpenVINO compiles for each new size."""

    def network(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        scores = np.empty((len(images), labels), np.float32)
        for start in range(0, len(images), BATCH_SIZE):
            batch = images[start : start + BATCH_SIZE]
            scores[start : start + len(batch)] = infer(_padded(batch))[: len(batch)]
        return scores

    return network


def _padded(batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the batch, padded with black images to the next power of two."""
    size = 1 << (len(batch) - 1).bit_length()
    if size == len(batch):
        return np.ascontiguousarray(batch)
    return np.concatenate([batch, np.zeros((size - len(batch), *batch.shape[1:]), np.uint8)])
