"""Exports answer as the service does, each in its own runtime, on every odd picture."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from numpy.typing import NDArray

from shared.domain.card import CARD_FILE, MODEL_FILE, ModelCard
from shared.domain.errors import InvalidRequest
from shared.domain.preprocessing import PREPROCESSINGS, Preprocessing
from shared.models.exports import ExportFormat
from shared.models.registry import Registry
from tests.fixtures import make, odd
from tests.versions_kit import version_folder
from tests.worker.importing.kit import imported, served
from worker.data.decode import decode
from worker.exporting.contents import write_contents
from worker.exporting.export import export
from worker.exporting.network import service
from worker.serving.forward import EMBEDDING, PROBABILITIES
from worker.serving.head import Head, normalised
from worker.serving.models import ModelCache
from worker.serving.preprocess import preprocess

HEIGHT, WIDTH, LABELS = 24, 32, ("pear", "two\nlines", "ä b", "4", "apple")
#: Scores of an export may differ from those of the service by this much.
CLOSE = 0.01
#: Odd pictures; Pillow alone reads no HEIC.
PICTURES = {name: content for name, content in odd.PICTURES.items() if not name.endswith(".heic")} | {
    "big.jpg": lambda: make.photo(1.0),
    "panorama.jpg": lambda: make.encode(make.pixels(60, 900), "JPEG"),
    "same-size.png": lambda: make.encode(make.pixels(HEIGHT, WIDTH), "PNG"),
    **{f"turned-{turn}.jpg": lambda turn=turn: make.photo(0.05, orientation=turn) for turn in range(2, 9)},
    "turned-alpha.png": lambda: make.oriented(np.dstack([make.pixels(40, 90), make.pixels(40, 90)[..., :1]]), 8, "PNG"),
}


def small_network(**last: Any) -> keras.Model:
    """Return a small network whose answers depend on every part of a picture."""
    keras.utils.set_random_seed(5)
    return keras.Sequential(
        [
            keras.Input((HEIGHT, WIDTH, 3)),
            layers.Conv2D(8, 5, strides=3, activation="relu"),
            layers.Conv2D(12, 3, strides=2, activation="relu"),
            layers.Flatten(name=EMBEDDING),
            layers.Dense(len(LABELS), name=PROBABILITIES, **{"activation": "softmax"} | last),
        ]
    )


def published(network: keras.Model, folder: Path, **changes: Any) -> Path:
    """Publish a network as a version that was not measured."""
    network.save(folder / MODEL_FILE)
    shape = {"height": HEIGHT, "width": WIDTH, "channels": 3}
    card = {
        "labels": LABELS,
        "input": shape,
        "metrics": None,
        "calibration": None,
        "views": None,
        "unknown": None,
    } | changes
    return version_folder(folder, (folder / MODEL_FILE).read_bytes(), **card)


@pytest.fixture(scope="module")
def with_views(tmp_path_factory: pytest.TempPathFactory, pictures: dict[Path, NDArray[np.uint8]]) -> Path:
    """Return a version with preprocessing and adaptive views; half of the pictures get six."""
    network, how = small_network(), PREPROCESSINGS["imagenet"].model_copy(update={"channels": "BGR"})
    below = middle(one_view(network, how, pictures).max(axis=1))
    views = {"served": "adaptive", "threshold": below, "share": 0.5, "single_accuracy": 0.5, "six_accuracy": 0.5}
    return published(network, tmp_path_factory.mktemp("views"), views=views, preprocessing=how.model_dump())


def middle(values: NDArray[np.float32]) -> float:
    """Return a number that about half of the values are below, and that none of them is near to."""
    central = np.sort(values)[len(values) // 3 : -len(values) // 3]
    widest = int(np.diff(central).argmax())
    return float(central[widest : widest + 2].mean())


def one_view(network: keras.Model, how: Preprocessing, pictures: dict[Path, NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Return the scores of each picture from one view."""
    inputs = preprocess(np.stack(list(pictures.values())).astype(np.float32), how)
    return np.asarray(network(inputs))


@pytest.fixture(scope="module")
def with_head(tmp_path_factory: pytest.TempPathFactory, pictures: dict[Path, NDArray[np.uint8]]) -> Path:
    """Return a version with a head that knows when a picture is unlike those that it has learnt from."""
    network, how = small_network(), PREPROCESSINGS["0-1"]
    body = keras.Model(network.inputs[0], network.get_layer(EMBEDDING).output)
    known = np.stack([make.pixels(HEIGHT, WIDTH, seed) for seed in range(9)]) / np.float32(255)
    embeddings = np.asarray(body(known))
    head = Head(*network.get_layer(PROBABILITIES).get_weights(), normalised(embeddings))
    folder = published(
        network,
        tmp_path_factory.mktemp("head"),
        preprocessing=how.model_dump(),
        unknown={"score": 0.21, "distance": middle(head.novelty(one_view(body, how, pictures))), "accepted": 0.9},
        backbone={"version": "any-20260101-00000000", "openvino_sha256": "0" * 64, "head_sha256": "0" * 64},
    )
    head.save(folder)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, NDArray[np.uint8]]:
    """Return the files with the odd pictures, and the pixels that the service makes of each."""
    folder = tmp_path_factory.mktemp("pictures")
    contents = {folder / name: content() for name, content in PICTURES.items()}
    for path, content in contents.items():
        path.write_bytes(content)
    return {path: decode(content, HEIGHT, WIDTH, 10**8) for path, content in contents.items()}


def unpacked(version: Path, kind: ExportFormat, folder: Path) -> Path:
    """Export a version and unpack the zip."""
    export(version, kind, folder / "export.zip")
    with zipfile.ZipFile(folder / "export.zip") as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


@pytest.fixture(autouse=True)
def no_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give `predict.py` no pictures when it is imported."""
    monkeypatch.setattr(sys, "argv", ["predict.py"])


def program(folder: Path) -> ModuleType:
    """Import `predict.py`, as a program does that uses its functions."""
    spec = importlib.util.spec_from_file_location("predict", folder / "predict.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", ExportFormat)
def test_preprocessing_and_views_are_those_of_the_service(
    with_views: Path,
    pictures: dict[Path, NDArray[np.uint8]],
    kind: ExportFormat,
    tmp_path: Path,
    threads: int,
) -> None:
    predict = program(unpacked(with_views, kind, tmp_path))
    served = ModelCache(Registry(with_views.parent), threads).get(with_views.name)
    expected = served.forward(np.stack(list(pictures.values())))
    single = one_view(keras.saving.load_model(with_views / MODEL_FILE), served.card.preprocessing, pictures)
    changed = np.abs(single - expected).max(axis=1)
    assert changed.max() > CLOSE > changed.min()  # without the views, some scores would be other ones
    for path, scores in zip(pictures, expected, strict=True):
        found, unknown = predict.predict(path)
        np.testing.assert_allclose(found, scores, atol=CLOSE, err_msg=path.name)
        assert (found.argmax(), unknown) == (scores.argmax(), False), path.name


@pytest.mark.parametrize("kind", ExportFormat)
def test_unknown_pictures_are_those_of_the_service(
    with_head: Path,
    pictures: dict[Path, NDArray[np.uint8]],
    kind: ExportFormat,
    tmp_path: Path,
) -> None:
    predict, card = program(unpacked(with_head, kind, tmp_path)), _card(with_head)
    assert card.unknown
    answer = service(keras.saving.load_model(with_head / MODEL_FILE), card, Head.load(with_head / "head.npz"))
    scores, novelty = answer(np.stack(list(pictures.values())))
    expected = [card.unknown.covers(*each) for each in zip(scores.max(axis=1).tolist(), novelty.tolist(), strict=True)]
    found = [predict.predict(path) for path in pictures]
    np.testing.assert_allclose([each for each, _ in found], scores, atol=CLOSE)
    assert [unknown for _, unknown in found] == expected
    assert {True, False} == set(expected)


def test_a_version_that_crops(pictures: dict[Path, NDArray[np.uint8]], tmp_path: Path) -> None:
    how = PREPROCESSINGS["0-1"].model_copy(update={"resize": "crop"})
    version = published(small_network(), tmp_path, preprocessing=how.model_dump())
    predict = program(unpacked(version, ExportFormat.OPENVINO, tmp_path))
    squashed = {}
    for path, pixels in pictures.items():
        found = predict.load(path).astype(float)
        assert np.abs(found - decode(path.read_bytes(), HEIGHT, WIDTH, 10**8, "crop")).mean() < 1, path.name
        squashed[path.name] = np.abs(found - pixels).mean()
    assert squashed["panorama.jpg"] > 10 and squashed["same-size.png"] < 1


def _card(version: Path, **changes: Any) -> ModelCard:
    return ModelCard.read(version / CARD_FILE).model_copy(update=changes)


@pytest.mark.usefixtures("few_passes")
@pytest.mark.parametrize("kind", ExportFormat)
def test_an_export_is_imported_as_it_is(
    pictures: dict[Path, NDArray[np.uint8]], kind: ExportFormat, tmp_path: Path, threads: int
) -> None:
    """Given the zip alone, then labels and preprocessing are those of the version, and so are the answers."""
    how = PREPROCESSINGS["imagenet"].model_copy(update={"channels": "BGR", "resize": "crop"})
    version = published(small_network(), tmp_path, preprocessing=how.model_dump())
    zipped = tmp_path / "import" / "export.zip"
    zipped.parent.mkdir()
    export(version, kind, zipped)
    card = imported(zipped, preprocessing=None)
    assert card.labels == tuple(label.replace("\n", " ") for label in LABELS)
    assert card.preprocessing.resize == "crop"  # the network itself scales the pixels
    assert card.params["value_range_basis"] == "stated"
    pixels = np.stack(list(pictures.values()))
    expected = ModelCache(Registry(version.parent), threads).get(version.name).forward(pixels)
    np.testing.assert_allclose(served(zipped, card, threads, pixels), expected, atol=CLOSE)


def test_the_zip_has_what_a_program_needs(with_head: Path, tmp_path: Path) -> None:
    folder = unpacked(with_head, ExportFormat.OPENVINO, tmp_path)
    assert {path.name for path in folder.iterdir()} == {
        *("README.md", "labels.txt", "model.bin", "model.xml", "predict.py", "preprocessing.json")
    }
    assert (folder / "labels.txt").read_text("utf-8").splitlines() == ["pear", "two lines", "ä b", "4", "apple"]
    described = json.loads((folder / "preprocessing.json").read_text("utf-8"))
    assert (described["width"], described["height"], described["resize"]) == (WIDTH, HEIGHT, "squash")
    rule = _card(with_head).unknown
    assert rule and described["unknown"] == {"score": rule.score, "distance": rule.distance}
    picture = tmp_path / "ä.png"
    picture.write_bytes(make.encode(make.pixels(40, 60), "PNG"))
    command = [sys.executable, folder / "predict.py", picture]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\t")
    assert said[0] == str(picture) and said[1] in (*LABELS, "unknown") and 0 <= float(said[2]) <= 1


@pytest.mark.parametrize("kind", ExportFormat)
def test_the_program_has_at_most_40_lines(with_head: Path, kind: ExportFormat, tmp_path: Path) -> None:
    write_contents(_card(with_head), kind, "model", tmp_path)
    lines = (tmp_path / "predict.py").read_text("utf-8").splitlines()
    assert len(lines) <= 40 and max(map(len, lines)) <= 120


@pytest.mark.parametrize("kind", [ExportFormat.LITERT, ExportFormat.ONNX])
def test_an_operation_that_the_format_lacks_is_named(
    kind: ExportFormat, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = keras.Input((HEIGHT, WIDTH, 3))
    scores = layers.Dense(len(LABELS), activation="softmax")(keras.ops.erfinv(layers.Flatten()(images) / 300))
    version = published(keras.Model(images, scores), tmp_path)
    with pytest.raises(InvalidRequest, match=f"cannot be written as {kind}: .*[Ee]rfinv"):
        export(version, kind, tmp_path / "export.zip")
    assert not (tmp_path / "export.zip").exists()
    assert capsys.readouterr().out == ""


def test_a_version_whose_file_is_damaged_is_an_error(tmp_path: Path) -> None:
    version = version_folder(tmp_path)
    with pytest.raises(InvalidRequest, match="Keras cannot load"):
        export(version, ExportFormat.KERAS, tmp_path / "export.zip")
