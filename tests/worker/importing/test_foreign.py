"""Import of TFLite and SavedModels: each network answers as its own runtime does, and hostile files are refused."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from shared.domain.card import ModelCard
from shared.domain.preprocessing import PREPROCESSINGS
from tests.worker.importing import foreign_kit as kit
from tests.worker.importing.kit import command, imported, refused, served
from tests.worker.importing.onnx_kit import LABELS, PICTURES, SIDE, members_of, zipped

pytestmark = pytest.mark.usefixtures("few_passes", "no_cifar10")

ZERO_TO_ONE = PICTURES / np.float32(255)


@pytest.fixture(scope="module")
def tflite() -> dict[str, bytes]:
    network = kit.small_network()
    return {kind: kit.tflite_bytes(network, kind) for kind in ("float", "int8", "uint8")}


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kit.exported(kit.small_network(), tmp_path_factory.mktemp("saved") / "model")


def answers(file: Path, threads: int, **wishes: Any) -> tuple[ModelCard, np.ndarray]:
    card = imported(file, **{"labels": LABELS, "preprocessing": None} | wishes)
    return card, served(file, card, threads, PICTURES)


def written(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file


def test_a_float_tflite_network(tmp_path: Path, threads: int, tflite: dict[str, bytes]) -> None:
    file = written(tmp_path / "net.tflite", tflite["float"])
    _, given = answers(file, threads, preprocessing=PREPROCESSINGS["0-1"])
    np.testing.assert_allclose(given, kit.tflite_answers(tflite["float"], ZERO_TO_ONE), atol=1e-4)
    assert "nothing in the network tells" in refused_in(tmp_path / "again", tflite["float"])


def refused_in(folder: Path, content: bytes, name: str = "net.tflite") -> str:
    folder.mkdir()
    return refused(written(folder / name, content), labels=LABELS, preprocessing=None)


@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_a_quantized_tflite_network(tmp_path: Path, threads: int, tflite: dict[str, bytes], kind: str) -> None:
    card, given = answers(written(tmp_path / "net.tflite", tflite[kind]), threads)
    expected = kit.tflite_answers(tflite[kind], ZERO_TO_ONE)
    np.testing.assert_allclose(given, expected, atol=0.02)
    assert (given.argmax(axis=1) == expected.argmax(axis=1)).all()
    assert (card.params["value_range"], card.params["value_range_basis"]) == ("0-1", "quantization")


@pytest.mark.parametrize("prefix", ["", "my model/"])
def test_a_zipped_saved_model(tmp_path: Path, threads: int, saved_model: Path, prefix: str) -> None:
    file = zipped(tmp_path / "upload.keras", members_of(saved_model, prefix))
    card, given = answers(file, threads, preprocessing=PREPROCESSINGS["0-1"])
    np.testing.assert_allclose(given, np.asarray(kit.small_network()(ZERO_TO_ONE)), atol=1e-4)
    assert card.params["format"] == "savedmodel"


def test_archives_of_teachable_machine(tmp_path: Path, threads: int, tflite: dict[str, bytes]) -> None:
    """The float network takes values from −1 to 1; what the quantized one takes is in the file."""
    listed = "\n".join(f"{index} {label}" for index, label in enumerate(LABELS))
    file = zipped(tmp_path / "float.keras", {"model_unquant.tflite": tflite["float"], "labels.txt": listed})
    card = imported(file, preprocessing=None)
    expected = kit.tflite_answers(tflite["float"], ZERO_TO_ONE * 2 - 1)
    np.testing.assert_allclose(served(file, card, threads, PICTURES), expected, atol=1e-4)
    assert (card.labels, card.params["value_range_basis"]) == (LABELS, "Teachable Machine")
    assert card.preprocessing == PREPROCESSINGS["-1..1"].model_copy(update={"resize": "crop"})
    assert any("cropped" in note for note in card.notes)
    file = zipped(tmp_path / "quantized.keras", {"model.tflite": tflite["uint8"], "labels.txt": listed})
    card = imported(file, preprocessing=None)
    assert (card.labels, card.params["value_range_basis"]) == (LABELS, "quantization")
    assert card.preprocessing.resize == "crop"


def test_how_pictures_get_their_size_can_be_said(tmp_path: Path, tflite: dict[str, bytes]) -> None:
    numbered = "\n".join(f"{index} {label}" for index, label in enumerate(LABELS))
    for listed, wish, found in (
        (numbered, "squash", "squash"),
        ("\n".join(LABELS), None, "squash"),
        ("", "crop", "crop"),
    ):
        members: dict[str, bytes | str] = {"model.tflite": tflite["uint8"]} | ({"labels.txt": listed} if listed else {})
        file = zipped(tmp_path / "net.keras", members)
        card = imported(file, labels=LABELS, resize=wish)
        assert (card.preprocessing.resize, card.params["value_range"]) == (found, "0-1")
        shutil.rmtree(tmp_path / "out")


def test_metadata_in_a_tflite_file(tmp_path: Path, threads: int, tflite: dict[str, bytes]) -> None:
    content = kit.with_metadata(tflite["float"], mean=(120.0, 110.0, 100.0), deviation=(60.0, 61.0, 62.0))
    file = written(tmp_path / "net.tflite", content)
    card = imported(file, preprocessing=None)
    inputs = (PICTURES - np.array([120, 110, 100])) / np.array([60, 61, 62])
    expected = kit.tflite_answers(tflite["float"], inputs)
    np.testing.assert_allclose(served(file, card, threads, PICTURES), expected, atol=1e-4)
    assert (card.labels, card.params["value_range_basis"]) == (LABELS, "stated")


@pytest.mark.parametrize("share", [0.002, 0.1, 0.5, 0.95])
def test_a_truncated_tflite_file_is_refused(tmp_path: Path, tflite: dict[str, bytes], share: float) -> None:
    content = tflite["int8"]
    reason = refused(written(tmp_path / "net.tflite", content[: int(len(content) * share)]), labels=LABELS)
    assert "damaged" in reason or "FlatBuffer verification failed" in reason or "neither" in reason


@pytest.mark.parametrize("seed", range(5))
def test_changed_bytes_of_a_tflite_file_are_refused_or_harmless(
    tmp_path: Path, tflite: dict[str, bytes], seed: int
) -> None:
    """In a process of its own: OpenVINO may crash."""
    content, noise = bytearray(tflite["float"]), random.Random(seed)
    if seed == 0:
        content = bytearray(b"\x1c\0\0\0TFL3" + noise.randbytes(3000))
    for _ in range(4 * seed):
        content[noise.randrange(8, len(content))] = noise.randrange(256)
    file = written(tmp_path / "net.tflite", bytes(content))
    listed = written(tmp_path / "labels.txt", "\n".join(LABELS).encode())
    done = command(str(file), f"--labels={listed}", "--value-range=0-1", f"--out={tmp_path / 'out'}")
    assert done.returncode in (0, os.EX_DATAERR) or done.returncode < 0, done.stderr


class WithFiles(tf.Module):
    """A module that reads a file, and calls Python."""

    @tf.function(input_signature=[tf.TensorSpec((None, SIDE, SIDE, 3), tf.float32)])
    def read(self, images: Any) -> Any:
        stolen = tf.strings.length(tf.io.read_file("/etc/passwd"))
        return tf.reduce_mean(images, (1, 2)) + tf.cast(stolen, tf.float32)

    @tf.function(input_signature=[tf.TensorSpec((None, SIDE, SIDE, 3), tf.float32)])
    def call(self, images: Any) -> Any:
        made = tf.py_function(lambda values: values, [tf.reduce_mean(images, (1, 2))], tf.float32)
        return tf.ensure_shape(made, (None, 3))


@pytest.mark.parametrize(("name", "operation"), [("read", "ReadFile"), ("call", "EagerPyFunc")])
def test_a_saved_model_that_runs_code_or_reads_files_is_refused(tmp_path: Path, name: str, operation: str) -> None:
    module = WithFiles()
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=getattr(module, name))
    file = zipped(tmp_path / "upload.keras", members_of(tmp_path / "saved"))
    reason = refused(file, labels=LABELS[:3])
    assert "OpenVINO cannot read the SavedModel" in reason and operation in reason


def test_a_damaged_saved_model_is_refused(tmp_path: Path, saved_model: Path) -> None:
    members = members_of(saved_model)
    graph = members["saved_model.pb"]
    for content in (b"", graph[: len(graph) // 2], b"\x08" * 100):
        file = zipped(tmp_path / "upload.keras", members | {"saved_model.pb": content})
        assert "OpenVINO cannot read the SavedModel" in refused(file, labels=LABELS)
    without = {name: content for name, content in members.items() if not name.startswith("variables/")}
    assert "not initialized" in refused(zipped(tmp_path / "upload.keras", without), labels=LABELS)
    strange = members | {"variables/variables.data/../../../x": b"x"}
    assert "a strange name" in refused(zipped(tmp_path / "upload.keras", strange), labels=LABELS)
