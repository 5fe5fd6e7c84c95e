"""A network that OpenVINO runs: on a processor it starts in a fraction of TensorFlow's time and memory, and is faster.

It is made from a Keras model once, when a version is published, and kept beside it as one file: a zip archive of the
network's layers (XML) and its weights, as OpenVINO writes them. See docs/decisions/0012-openvino.md.
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

#: The parts of the file.
LAYERS, WEIGHTS = "network.xml", "network.bin"

#: Images in one pass at most: what is computed in between still fits the processor's cache.
BATCH_SIZE = 32


def export(model: Any, file: Path) -> None:
    """Write a Keras model, which takes images and gives probabilities, to `file`; raises where it cannot be expressed.

    What comes may be any error of TensorFlow's or OpenVINO's: they have many words for a layer that they do not know.
    """
    import tensorflow as tf  # noqa: PLC0415  # only where a version is published

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
    """The network in a file that `export` wrote, which may use so many cores. Raises ModelUnusable."""
    openvino = _openvino()
    core = openvino.Core()
    try:
        with zipfile.ZipFile(file) as archive:
            weights = np.frombuffer(archive.read(WEIGHTS), np.uint8)
            network = core.read_model(archive.read(LAYERS), openvino.Tensor(weights))
        how = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # every process would take the same cores, the first ones
            "INFERENCE_PRECISION_HINT": "f32",  # what it answers must not depend on what the processor can do
        }
        compiled = core.compile_model(network, "CPU", how)
    except Exception as error:  # beside its own RuntimeError, whatever the reader of ZIP raises
        raise ModelUnusable(f"OpenVINO cannot load {file.parent.name}/{file.name}: {error}") from error
    return _in_batches(_one_at_a_time(compiled), tuple(compiled.output(0).partial_shape)[1].get_length())


def _openvino() -> Any:
    """The library, which starts threads, so it is loaded only after the fork.

    Without its telemetry: that would tell its makers of every import, and writes into the home folder.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino  # noqa: PLC0415

    return openvino


def _one_at_a_time(compiled: Any) -> Network:
    """One request's memory, which a second thread has to wait for."""
    request, lock = compiled.create_infer_request(), threading.Lock()

    def infer(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with lock:
            answers: NDArray[np.float32] = request.infer([images], share_inputs=True)[0]
        return answers

    return infer


def _in_batches(infer: Network, labels: int) -> Network:
    """In batches of few sizes, powers of two: for each new size OpenVINO has to prepare itself."""

    def network(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        answers = np.empty((len(images), labels), np.float32)
        for start in range(0, len(images), BATCH_SIZE):
            batch = images[start : start + BATCH_SIZE]
            answers[start : start + len(batch)] = infer(_padded(batch))[: len(batch)]
        return answers

    return network


def _padded(batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """With black images behind, up to the next power of two."""
    size = 1 << (len(batch) - 1).bit_length()
    if size == len(batch):
        return np.ascontiguousarray(batch)
    return np.concatenate([batch, np.zeros((size - len(batch), *batch.shape[1:]), np.uint8)])
