"""Inference with Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from shared.domain.card import OPENVINO_FILE
from worker.serving import keras_runtime, openvino_runtime
from worker.serving.forward import EMBEDDING, PROBABILITIES, ModelUnusable

SIZE = (8, 6, 3)


def model() -> Any:
    return keras.Sequential([keras.Input(SIZE), keras.layers.Flatten(), keras.layers.Dense(4, activation="softmax")])


def test_one_graph_serves_every_batch_size() -> None:
    """The model's Python code runs once, to trace the graph, and never for a batch."""
    calls, real = [], model()

    class Counted:
        input_shape = real.input_shape

        def __call__(self, images: Any, **how: Any) -> Any:
            calls.append(images.shape.as_list())
            return real(images, **how)

    network = keras_runtime.compiled(Counted())
    for count in (1, 2, 60, 1, 33):
        assert network(np.zeros((count, *SIZE), np.uint8)).shape == (count, 4)
    assert calls == [[None, *SIZE]]


def test_a_saved_model_is_loaded(tmp_path: Path, threads: int) -> None:
    real = model()
    real.save(tmp_path / "model.keras")
    images = np.random.default_rng(1).integers(0, 256, (5, *SIZE), dtype=np.uint8)
    answers = keras_runtime.load(tmp_path / "model.keras", threads)(images)
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers, real.predict(images, verbose=0), atol=1e-5)


@pytest.mark.parametrize("content", [b"", b"not weights"])
def test_a_file_that_keras_cannot_load_is_unusable(tmp_path: Path, threads: int, content: bytes) -> None:
    (tmp_path / "model.keras").write_bytes(content)
    with pytest.raises(ModelUnusable, match=r"Keras cannot load .*model\.keras"):
        keras_runtime.load(tmp_path / "model.keras", threads)


def test_a_backbone_has_an_embedding_and_exact_maps(tmp_path: Path, threads: int) -> None:
    """Given two images, Then the logits differ by as much as the means of the maps, as with OpenVINO."""
    layers, file = keras.layers, tmp_path / "model.keras"
    pooled = [layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(name=EMBEDDING)]
    real = keras.Sequential([keras.Input(SIZE), *pooled, layers.Dense(5, "softmax", name=PROBABILITIES)])
    real.save(file)
    openvino_runtime.export(real, tmp_path / OPENVINO_FILE, EMBEDDING)
    images = np.random.default_rng(1).integers(0, 9, (2, *SIZE), dtype=np.uint8)
    by_keras = keras_runtime.load_backbone(file, threads)
    by_openvino = openvino_runtime.load_network(tmp_path / OPENVINO_FILE, threads)
    assert by_keras.run(images)[EMBEDDING].shape == (2, 4)
    logits = np.log(by_keras.classify(images))
    logits -= logits.mean(axis=1, keepdims=True)
    for label in range(5):
        one, other = (network.locating() for network in (by_keras, by_openvino))
        assert one and other
        maps = [one(image, label) for image in images]
        assert maps[0].shape == (6, 4)
        assert maps[0].mean() - maps[1].mean() == pytest.approx(logits[0, label] - logits[1, label], abs=1e-4)
        np.testing.assert_allclose(maps[0], other(images[0], label), atol=1e-4)
