"""Inference with OpenVINO: the same results as with Keras, without loading TensorFlow."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from shared.domain.card import OPENVINO_FILE
from tests.conftest import ROOT
from worker.serving import openvino_runtime
from worker.serving.forward import ModelUnusable
from worker.serving.openvino_runtime import BATCH_SIZE, PADDING, batch_sizes

SIZE = (9, 7, 3)
IMAGES = np.random.default_rng(4).integers(0, 256, (200, *SIZE), dtype=np.uint8)


@pytest.fixture(scope="module")
def model() -> Any:
    keras.utils.set_random_seed(5)
    layers = [
        keras.Input(SIZE),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(4, 3),
        keras.layers.BatchNormalization(),
        keras.layers.Flatten(),
        keras.layers.Dropout(0.5),
        keras.layers.Dense(5, activation="softmax"),
    ]
    return keras.Sequential(layers)


@pytest.fixture(scope="module")
def file(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / OPENVINO_FILE
    openvino_runtime.export(model, path)
    return path


@pytest.mark.parametrize("count", [1, 2, 3, BATCH_SIZE - 1, BATCH_SIZE, BATCH_SIZE + 1, 200])
def test_any_number_of_images(file: Path, model: Any, count: int) -> None:
    answers = openvino_runtime.load(file, 2)(IMAGES[:count])
    assert (answers.dtype, answers.shape) == (np.float32, (count, 5))
    np.testing.assert_allclose(answers, model.predict(IMAGES[:count], verbose=0), atol=1e-5)


@pytest.mark.parametrize(
    ("count", "sizes"),
    [(0, [1]), (1, [1]), (3, [2, 1]), (7, [8]), (13, [8, 4, 1]), (17, [16, 1]), (31, [32]), (70, [32, 32, 4, 2])],
)
def test_batches_are_hardly_padded(count: int, sizes: list[int]) -> None:
    assert batch_sizes(count, 32) == sizes


def test_batches_hold_all_images() -> None:
    for count in range(1, 100):
        sizes = batch_sizes(count, 32)
        assert 0 <= sum(sizes) - count <= sizes[-1] * PADDING
        assert set(sizes) <= {1, 2, 4, 8, 16, 32} and sizes == sorted(sizes, reverse=True)


def test_images_with_another_memory_layout(file: Path, model: Any) -> None:
    turned = np.flip(IMAGES, axis=2)
    np.testing.assert_allclose(openvino_runtime.load(file, 2)(turned), model.predict(turned, verbose=0), atol=1e-5)


def test_threads_do_not_mix_their_results(file: Path) -> None:
    network = openvino_runtime.load(file, 1)
    expected = network(IMAGES)
    with ThreadPoolExecutor(8) as pool:
        alone = list(pool.map(lambda place: network(IMAGES[[place]]), range(len(IMAGES))))
    np.testing.assert_allclose(np.concatenate(alone), expected, atol=1e-6)


@pytest.mark.parametrize("damage", ["empty", "no archive", "cut short", "without weights", "other layers"])
def test_a_damaged_file_is_unusable(file: Path, tmp_path: Path, damage: str) -> None:
    bad = tmp_path / OPENVINO_FILE
    content = file.read_bytes()
    bad.write_bytes({"empty": b"", "cut short": content[:500]}.get(damage, b"no archive"))
    if damage in ("without weights", "other layers"):
        with zipfile.ZipFile(bad, "w") as archive:
            archive.writestr(openvino_runtime.LAYERS, "<net/>" if damage == "other layers" else b"")
            if damage == "other layers":
                archive.writestr(openvino_runtime.WEIGHTS, b"")
    with pytest.raises(ModelUnusable, match=r"OpenVINO cannot load .*openvino\.zip"):
        openvino_runtime.load(bad, 2)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_the_exact_map_of_a_network_that_ends_in_mean_pooling(activation: str, tmp_path: Path) -> None:
    """Given two images, Then the logits of Keras differ by as much as the means of the maps."""
    keras.utils.set_random_seed(5)
    logits = keras.Sequential(
        [
            keras.Input(SIZE),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(4, 3),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(5),
        ]
    )
    scaled = [logits, keras.layers.Rescaling(2.0, 0.5), keras.layers.Activation(activation)]
    file = tmp_path / OPENVINO_FILE
    openvino_runtime.export(keras.Sequential(scaled), file)
    locate = openvino_runtime.load_network(file, 2).locating(independent=activation == "sigmoid")
    assert locate is not None and locate(IMAGES[0], 0).shape == (7, 5)
    expected = logits.predict(IMAGES[:2], verbose=0)
    if activation == "softmax":
        expected -= expected.mean(axis=1, keepdims=True)
    for label in range(5):
        first, second = (locate(image, label).mean() for image in IMAGES[:2])
        assert first - second == pytest.approx(expected[0, label] - expected[1, label], abs=1e-5)


def test_other_networks_have_no_exact_map(file: Path) -> None:
    assert openvino_runtime.load_network(file, 2).locating() is None


def test_it_loads_no_tensorflow_and_sends_no_telemetry(file: Path, tmp_path: Path) -> None:
    """By default the library reports every import to Intel and writes into the home folder."""
    code = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from worker.serving import openvino_runtime\n"
        f"openvino_runtime.load(Path({str(file)!r}), 1)(np.zeros((1, *{SIZE}), np.uint8))\n"
        "print([name for name in sys.modules if name.startswith(('tensorflow', 'keras', 'openvino_telemetry.'))])\n"
    )
    environment = os.environ | {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    environment.pop("CI", None)  # with CI set it would send nothing anyway
    printed = subprocess.check_output([sys.executable, "-c", code], env=environment, cwd=tmp_path, text=True)
    assert printed == "[]\n"
    assert list(tmp_path.iterdir()) == []
