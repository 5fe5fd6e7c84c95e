"""Model import: a usable model is adapted, published and served as it should be."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from shared.domain.card import CARD_FILE, CONFUSIONS_FILE, MODEL_FILE, PREDICTIONS_FILE, TRUTH_FILE, ModelCard
from shared.domain.preprocessing import PREPROCESSINGS, Preprocessing
from shared.training.datasets import CIFAR10_LABELS
from tests.conftest import ROOT
from tests.models_kit import (
    saved,
    small_app,
    small_app_answers,
    small_app_of_keras_2,
    with_config,
)
from tests.worker.importing.kit import ENDINGS, IMAGES, command, imported, refused, served, set_config
from worker.data.datasets import Dataset
from worker.importing.import_keras import load_network

pytestmark = pytest.mark.usefixtures("few_passes", "no_cifar10")


def trained(squares: Dataset, scale: int) -> keras.Model:
    """Return a network that is accurate on squares divided by `scale`, and useless at any other scale."""
    keras.utils.set_random_seed(1)
    network = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.ReLU(threshold=150 / scale, max_value=255 / scale),
            layers.AveragePooling2D(4),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    network.compile(keras.optimizers.Adam(0.03), "sparse_categorical_crossentropy")
    network.fit(squares.x_train / np.float32(scale), squares.y_train, epochs=15, batch_size=38, verbose=0)
    return network


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_model_is_served_as_keras_would(tmp_path: Path, threads: int, ending: str) -> None:
    network = small_app()
    file = saved(network, tmp_path / f"cnn_model{ending}")
    card = imported(file)
    np.testing.assert_allclose(served(file, card, threads), network(IMAGES / np.float32(255)), atol=1e-5)
    digest = hashlib.sha256((tmp_path / "out" / card.version / MODEL_FILE).read_bytes()).hexdigest()
    assert card.version == f"imported-{card.created_at:%Y%m%d}-{digest[:8]}"
    assert (card.preset, card.source, card.labels) == ("imported", file.name, CIFAR10_LABELS)
    assert card.source_sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (card.metrics, card.dataset, card.seed, card.training_seconds, card.history) == (None, None, None, None, ())
    assert card.params == {
        "format": ending[1:],
        "value_range": "0-1",
        "value_range_basis": "given",
        "softmax_added": False,
        "sigmoid_added": False,
    }
    assert card.preprocessing == PREPROCESSINGS["0-1"]
    assert (card.input.height, card.input.width, card.input.channels) == (32, 32, 3)


@pytest.mark.parametrize("form", ["2.3", "before 2.2.3", "TensorFlow's"])
def test_a_file_of_keras_2_is_served(tmp_path: Path, threads: int, form: str) -> None:
    """The input shape is in the first layer; the layers may be a bare list; tf.keras has an input layer as well."""
    source = small_app_of_keras_2(tmp_path / "keras2.h5")
    given = {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 32, 32, 3], "name": "first_input"}}
    changes = {
        "2.3": lambda config: config.update(),
        "before 2.2.3": lambda config: config.update(config=config["config"]["layers"]),
        "TensorFlow's": lambda config: config["config"]["layers"].insert(0, given),
    }
    file = with_config(source, tmp_path / "cnn_model.h5", changes[form])
    np.testing.assert_allclose(served(file, imported(file), threads), small_app_answers(IMAGES), atol=1e-5)


def test_a_softmax_is_added_to_logits(tmp_path: Path, threads: int) -> None:
    network = small_app(activation=None)
    file = saved(network, tmp_path / "logits.keras")
    card = imported(file)
    assert card.params["softmax_added"] is True
    expected = keras.ops.softmax(network(IMAGES / np.float32(255)))
    np.testing.assert_allclose(served(file, card, threads), expected, atol=1e-5)


@pytest.mark.parametrize(("given", "scale"), [("0-255", 1), ("0-1", 255)])
def test_the_given_range_is_used(tmp_path: Path, threads: int, given: str, scale: int) -> None:
    network = small_app()
    file = saved(network, tmp_path / "model.keras")
    card = imported(file, preprocessing=PREPROCESSINGS[given])
    assert (card.params["value_range"], card.params["value_range_basis"]) == (given, "given")
    np.testing.assert_allclose(served(file, card, threads), network(IMAGES / np.float32(scale)), atol=1e-5)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("scaling", [layers.Rescaling(1 / 255), layers.Normalization(mean=120, variance=4000)])
def test_a_network_that_scales_its_input_takes_0_to_255(
    tmp_path: Path, threads: int, scaling: keras.Layer, ending: str
) -> None:
    inner = keras.Sequential([keras.Input((32, 32, 3)), scaling])
    network = keras.Sequential([keras.Input((32, 32, 3)), inner, *small_app().layers])
    file = saved(network, tmp_path / f"model{ending}")
    card = imported(file, preprocessing=None)
    assert (card.params["value_range"], card.params["value_range_basis"]) == ("0-255", "network")
    np.testing.assert_allclose(served(file, card, threads), network(IMAGES), atol=1e-5)


@pytest.mark.usefixtures("with_cifar10")
def test_with_cifar10_the_range_is_measured(tmp_path: Path, squares: Dataset) -> None:
    """Given a network that is only accurate for one range, then it gets that range; of two, the user must choose."""
    card = imported(saved(trained(squares, 1), tmp_path / "trained.keras"), preprocessing=None)
    assert (card.params["value_range"], card.params["value_range_basis"]) == ("0-255", "measured")
    assert "On 20 pictures of cifar10, this many answers are right: 0-255: 100.0%" in card.notes[0]
    (tmp_path / "other").mkdir()
    reason = refused(saved(trained(squares, 255), tmp_path / "other" / "trained.keras"), preprocessing=None)
    assert "no choice is clearly the best" in reason and "-1..1: 100.0%" in reason


@pytest.mark.usefixtures("with_cifar10")
def test_with_cifar10_the_quality_is_measured(tmp_path: Path, squares: Dataset) -> None:
    card = imported(saved(trained(squares, 255), tmp_path / "trained.h5"))
    assert card.metrics is not None
    assert card.dataset is not None
    assert card.metrics.accuracy > 0.8
    assert (card.dataset.digest, card.dataset.test) == (squares.digest, 100)
    folder = tmp_path / "out" / card.version
    assert (folder / TRUTH_FILE).read_bytes() == squares.y_test.tobytes()
    right = np.frombuffer((folder / PREDICTIONS_FILE).read_bytes(), np.uint8) == squares.y_test
    assert right.mean() == card.metrics.accuracy
    assert (folder / CONFUSIONS_FILE).stat().st_size > 0


def test_other_labels_and_another_size(tmp_path: Path, threads: int) -> None:
    file = saved(small_app(labels=3, side=20), tmp_path / "model.keras")
    card = imported(file, labels=("a", "b", "c"))
    assert (card.labels, card.input.height) == (("a", "b", "c"), 20)
    assert served(file, card, threads, IMAGES[:, :20, :20]).shape == (3, 3)


def test_a_network_with_branches_in_float16(tmp_path: Path, threads: int) -> None:
    """Operations without a layer, branches, and arithmetic that not every machine has."""
    inputs = keras.Input((32, 32, 3))
    cut = keras.ops.pad(inputs, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")[:, 1:33, 1:33]
    branches = [layers.Conv2D(8, size, padding="same", dtype="mixed_float16")(cut) for size in (1, 3)]
    pooled = layers.GlobalAveragePooling2D()(keras.activations.gelu(layers.Add()(branches)))
    network = keras.Model(inputs, layers.Dense(10, activation="softmax", dtype="mixed_float16")(pooled))
    file = saved(network, tmp_path / "model.keras")
    answer = served(file, imported(file), threads)
    np.testing.assert_allclose(answer.sum(axis=1), 1, atol=1e-2)


@pytest.mark.parametrize("folder", ["", "converted_keras/"])
def test_an_archive_of_teachable_machine_is_taken_as_it_is(tmp_path: Path, threads: int, folder: str) -> None:
    """Its models take values from -1 to 1, and its labels are numbered."""
    models = ROOT / "tests" / "fixtures" / "models"
    file = tmp_path / "upload.keras"  # as the importer calls every ZIP file
    with zipfile.ZipFile(file, "w") as archive:
        archive.write(models / "k2_teachable_v2tf212.h5", f"{folder}keras_model.h5")
        archive.writestr(f"{folder}labels.txt", b"\xef\xbb\xbf0 My cat\r\n1 Dog\r\n")
        archive.writestr(f"__MACOSX/{folder}._keras_model.h5", b"junk")
    card = imported(file, preprocessing=None)
    assert (card.labels, card.params["value_range_basis"]) == (("My cat", "Dog"), "Teachable Machine")
    assert card.preprocessing.resize == "crop"
    images = np.load(models / "k2_teachable.npz")["x"]
    network = load_network(models / "k2_teachable_v2tf212.h5")
    expected = network(images / np.float32(127.5) - 1, training=False)
    np.testing.assert_allclose(served(file, card, threads, images), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"keras_model.h5": b"", "labels.txt": b"0 cat\n1 cat\n"}, "a label appears twice"),
        ({"keras_model.h5": b"", "labels.txt": "0 käse\n1 b".encode("latin-1")}, "labels.txt is not UTF-8 text"),
        ({"keras_model.h5": b"no model"}, "neither a .keras nor a .h5"),
        ({"a.h5": b"", "b.h5": b""}, "several models: 'a.h5' and 'b.h5'"),
        ({"archive/data.pkl": b""}, "a file of PyTorch"),
        ({"model.json": b""}, "a model of TensorFlow.js"),
    ],
)
def test_an_archive_without_a_model_says_what_it_is(tmp_path: Path, members: dict[str, bytes], reason: str) -> None:
    with zipfile.ZipFile(tmp_path / "upload.keras", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    assert reason in refused(tmp_path / "upload.keras")


@pytest.mark.parametrize(
    "how", [PREPROCESSINGS["imagenet-bgr"], Preprocessing(scale=(0.1, 0.2, 0.3), offset=(1, 2, 3))]
)
def test_any_preprocessing_is_served_as_given(tmp_path: Path, threads: int, how: Preprocessing) -> None:
    network = small_app()
    file = saved(network, tmp_path / "model.keras")
    card = imported(file, preprocessing=how)
    inputs = IMAGES * np.array(how.scale) + np.array(how.offset)
    inputs = inputs[..., ::-1] if how.channels == "BGR" else inputs
    np.testing.assert_allclose(served(file, card, threads), network(inputs.astype(np.float32)), atol=1e-4)
    assert card.preprocessing == ModelCard.read(tmp_path / "out" / card.version / CARD_FILE).preprocessing == how


def test_the_command_prints_the_version(tmp_path: Path) -> None:
    file = saved(small_app(labels=3), tmp_path / "model.keras")
    (tmp_path / "labels.json").write_text(json.dumps(["a", "b", "ä"]))
    words = [f"--labels={tmp_path / 'labels.json'}", "--value-range=0-255", "--source=-x", f"--out={tmp_path / 'out'}"]
    done = command(str(file), *words)
    assert done.returncode == 0, done.stderr
    card = ModelCard.read(tmp_path / "out" / done.stdout.strip() / "card.json")
    assert (card.labels, card.params["value_range"], card.source) == (("a", "b", "ä"), "0-255", "-x")


def test_a_network_that_needs_too_much_memory_only_ends_its_process(tmp_path: Path) -> None:
    source = saved(small_app(), tmp_path / "good.keras")
    file = with_config(source, tmp_path / "bad.keras", set_config(6, units=3_000_000))
    done = command(str(file), f"--out={tmp_path / 'out'}")
    assert done.returncode != 0
    assert not list((tmp_path / "out").glob("*"))
