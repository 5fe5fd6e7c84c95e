"""A version that is made at once: its network is built for OpenVINO, without Keras."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

import numpy as np

from tests.versions_kit import version_folder
from worker.serving import openvino_runtime
from worker.serving.openvino_runtime import LAYERS, WEIGHTS


def tiny_network(parent: Path, kept: bytes = b"no network") -> Path:
    """Create a version with an untrained, very fast network; other pictures get other predictions.

    Its Keras file is not a network but the bytes `kept`, so it only runs with OpenVINO. Other bytes make another
    version.
    """
    parent.mkdir(parents=True, exist_ok=True)
    return version_folder(parent, kept, exported(), views=None, metrics=None)


def exported() -> bytes:
    """Return a convolution and a dense layer with random weights as `worker.serving.openvino_runtime` reads them."""
    openvino = openvino_runtime.library()
    layers, chance = openvino.opset13, np.random.default_rng(0)
    filters = chance.normal(0, 0.3, (8, 3, 3, 3)).astype(np.float32)
    dense = chance.normal(0, 0.05, (8 * 15 * 15, 10)).astype(np.float32)
    images = layers.parameter([-1, 32, 32, 3], np.uint8)
    pixels = layers.transpose(layers.convert(images, "f32"), np.array([0, 3, 1, 2]))
    scaled = layers.subtract(layers.divide(pixels, np.float32(127.5)), np.float32(1))
    seen = layers.relu(layers.convolution(scaled, filters, [2, 2], [0, 0], [0, 0], [1, 1]))
    flat = layers.reshape(seen, np.array([0, -1]), special_zero=True)
    answer = layers.softmax(layers.matmul(flat, dense, transpose_a=False, transpose_b=False), axis=1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        openvino.serialize(openvino.Model([answer], [images]), folder / LAYERS, folder / WEIGHTS)
        with zipfile.ZipFile(folder / "file", "x") as archive:
            for part in (LAYERS, WEIGHTS):
                archive.write(folder / part, part)
        return (folder / "file").read_bytes()
