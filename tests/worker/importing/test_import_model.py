"""Model import: a usable model is adapted and published; one that runs code or does not fit is refused by name."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from shared.domain.card import CARD_FILE, CONFUSIONS_FILE, MODEL_FILE, PREDICTIONS_FILE, TRUTH_FILE, ModelCard
from shared.domain.errors import InvalidRequest
from shared.domain.preprocessing import PREPROCESSINGS, Preprocessing
from shared.models.import_queue import ModelImport
from shared.models.registry import Registry
from shared.training.datasets import CIFAR10_LABELS
from tests.conftest import ROOT
from tests.models_kit import (
    lambda_that_makes,
    saved,
    small_app,
    small_app_answers,
    small_app_of_keras_2,
    with_config,
    with_weights,
)
from worker.data.datasets import CIFAR10_SETTING, Dataset
from worker.importing.import_model import import_model, load_network
from worker.serving.models import ModelCache

ENDINGS = [".keras", ".h5"]
#: Three images of noise.
IMAGES = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)


pytestmark = pytest.mark.usefixtures("few_passes")


@pytest.fixture(autouse=True)
def no_cifar10(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide CIFAR-10 unless a test asks for it."""
    monkeypatch.delenv(CIFAR10_SETTING, raising=False)


@pytest.fixture
def with_cifar10(squares_file: Path, monkeypatch: pytest.MonkeyPatch, no_cifar10: None) -> None:  # noqa: ARG001
    monkeypatch.setenv(CIFAR10_SETTING, str(squares_file))


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


def imported(file: Path, **wishes: Any) -> ModelCard:
    """Import a file into the folder `out` next to it, for values from 0 to 1 by default."""
    wishes = {"preprocessing": PREPROCESSINGS["0-1"]} | wishes
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return import_model(file, ModelImport(digest, file.name, **wishes), file.parent / "out")


def served(file: Path, card: ModelCard, threads: int, images: np.ndarray = IMAGES) -> np.ndarray:
    """Return the output of a worker with the imported version."""
    return ModelCache(Registry(file.parent / "out"), threads).get(card.version).forward(images)


def refused(file: Path, **wishes: Any) -> str:
    """Return the reason for refusing a file; nothing of it is left."""
    with pytest.raises(InvalidRequest) as caught:
        imported(file, **wishes)
    assert list((file.parent / "out").glob("*")) == []
    return str(caught.value)


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
        ({"a.h5": b"", "b.h5": b""}, "'a.h5'"),
        ({"model/saved_model.pb": b""}, "a SavedModel of TensorFlow: load it with Keras and save it"),
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


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_lambda_is_refused_and_never_run(tmp_path: Path, ending: str) -> None:
    """Unsafe loading of the same file runs its code, so the marker would exist."""
    marker = tmp_path / "marker"
    file = lambda_that_makes(marker, tmp_path / f"model{ending}")
    assert "'sneaky' is a Lambda layer" in refused(file)
    assert not marker.exists()
    keras.saving.load_model(file, compile=False, safe_mode=False)(IMAGES.astype(np.float32))
    assert marker.exists()


@keras.saving.register_keras_serializable("elsewhere")
class Custom(layers.Dense):
    """A custom layer; since it is registered here, Keras would load it."""


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_custom_class_is_refused_by_name(tmp_path: Path, ending: str) -> None:
    network = keras.Sequential(
        [keras.Input((32, 32, 3)), layers.Flatten(), Custom(10, activation="softmax", name="mine")]
    )
    reason = refused(saved(network, tmp_path / f"model{ending}"))
    assert "'mine'" in reason
    assert "not Keras's own" in reason


def _set(layer: int, **entries: Any) -> Callable[[dict[str, Any]], None]:
    """Return a function that changes one layer's entry in a configuration."""
    return lambda config: config["config"]["layers"][layer].update(entries)


def _set_config(layer: int, **entries: Any) -> Callable[[dict[str, Any]], None]:
    return lambda config: config["config"]["layers"][layer]["config"].update(entries)


CODE = {"class_name": "__lambda__", "config": {"value": "AAAA"}}
HOSTILE = {
    "a class of the system": (_set(1, module="os", class_name="system"), "'os.system'"),
    "a class of Python's": (_set(1, module="builtins", class_name="exec"), "'builtins.exec'"),
    "a function of Keras's": (_set(1, module="keras.utils", class_name="get_file"), "'keras.utils.get_file'"),
    "a module inside Keras": (_set(1, module="keras.src.os", class_name="system"), "'keras.src.os.system'"),
    "a registered class": (_set(1, registered_name="evil>Conv2D"), "'evil>Conv2D'"),
    "another file's program": (
        _set(1, module="keras.layers", class_name="TFSMLayer", config={"filepath": "/tmp/x", "name": "a"}),
        "TFSMLayer layer, which runs",
    ),
    "another file's vocabulary": (
        _set(1, module="keras.layers", class_name="StringLookup", config={"vocabulary": "/etc/passwd", "name": "a"}),
        "StringLookup layer, which reads",
    ),
    "code as an argument": (_set_config(1, kernel_initializer=CODE), "'conv2d"),
    "code inside an argument": (_set_config(1, activation={"a": [[CODE]]}), "'conv2d"),
    "an unknown activation": (_set_config(1, activation="my_own"), "activation 'my_own'"),
    "a foreign function": (
        _set_config(1, activation={"module": "evil", "class_name": "function", "config": "f", "registered_name": "f"}),
        "activation 'f'",
    ),
    "a foreign loss in a nested model": (
        _set_config(1, inner={"compile_config": {"loss": {"module": "evil", "class_name": "Loss"}}}),
        "'evil.Loss'",
    ),
    "a name that is not a string": (_set(1, class_name=["Conv2D"]), "not Keras's own"),
}


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_part_that_is_not_keras_own_is_refused_by_name(tmp_path: Path, ending: str, what: str) -> None:
    change, named = HOSTILE[what]
    source = saved(small_app(), tmp_path / f"good{ending}")
    file = with_config(source, tmp_path / f"bad{ending}", change)
    assert named in refused(file)


@pytest.mark.parametrize("name", ["Lambda", "TFOpLambda", "SlicingOpLambda", "serialize", "StringLookup", "Evil", "os"])
def test_a_keras_2_file_may_use_only_layers_of_keras(tmp_path: Path, name: str) -> None:
    source = small_app_of_keras_2(tmp_path / "good.h5")
    file = with_config(source, tmp_path / "bad.h5", _set(1, class_name=name))
    assert "max_pooling2d" in refused(file)


def test_the_compile_configuration_is_ignored(tmp_path: Path, threads: int) -> None:
    """A custom loss in the file is not loaded."""
    source = saved(small_app(), tmp_path / "model.keras")
    loss = {"module": "somewhere", "class_name": "OwnLoss", "config": {}, "registered_name": "OwnLoss"}
    file = with_config(
        source, tmp_path / "with_loss.keras", lambda config: config.update(compile_config={"loss": loss})
    )
    assert served(file, imported(file), threads).shape == (3, 10)


@pytest.mark.parametrize(
    ("network", "found"),
    [
        (lambda: small_app(labels=7), "7 outputs"),
        (lambda: keras.Sequential([keras.Input((32, 32, 1)), layers.Flatten(), layers.Dense(10)]), "(None, 32, 32, 1)"),
        (lambda: keras.Sequential([keras.Input((3, 32, 32)), layers.Flatten(), layers.Dense(10)]), "(None, 3, 32, 32)"),
        (
            lambda: keras.Sequential([keras.Input((None, None, 3)), layers.GlobalMaxPooling2D(), layers.Dense(10)]),
            "(None, None, None, 3)",
        ),
        (lambda: keras.Sequential([keras.Input((64,)), layers.Dense(10)]), "(None, 64)"),
        (lambda: keras.Sequential([keras.Input((32, 32, 3)), layers.Conv2D(10, 3)]), "(None, 30, 30, 10)"),
        (
            lambda: keras.Sequential([keras.Input((32, 32, 3), batch_size=4), layers.Flatten(), layers.Dense(10)]),
            "(4, ",
        ),
        (
            lambda: keras.Sequential([keras.Input((257, 257, 3)), layers.GlobalMaxPooling2D(), layers.Dense(10)]),
            "257 × 257",
        ),
        (lambda: _branches(inputs=2), "2 inputs"),
        (lambda: _branches(outputs=2), "2 outputs"),
    ],
)
def test_a_network_with_wrong_shapes_is_refused_and_the_shape_named(
    tmp_path: Path, network: Callable[[], keras.Model], found: str
) -> None:
    assert found in refused(saved(network(), tmp_path / "model.keras"))


def _branches(inputs: int = 1, outputs: int = 1) -> keras.Model:
    taken = [keras.Input((32, 32, 3)) for _ in range(inputs)]
    flat = layers.Flatten()(layers.Add()(taken) if inputs > 1 else taken[0])
    return keras.Model(taken, [layers.Dense(10)(flat) for _ in range(outputs)])


def test_a_wrong_number_of_labels_is_refused(tmp_path: Path) -> None:
    file = saved(small_app(), tmp_path / "model.keras")
    reason = refused(file, labels=("a", "b", "c"))
    assert "10 outputs" in reason and "3 labels" in reason


def test_a_network_with_nan_output_is_refused(tmp_path: Path) -> None:
    network = small_app()
    network.layers[-1].set_weights([weights * np.nan for weights in network.layers[-1].get_weights()])
    assert "NaN" in refused(saved(network, tmp_path / "model.keras"))


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, ending: str, share: float) -> None:
    file = saved(small_app(), tmp_path / f"model{ending}")
    os.truncate(file, int(file.stat().st_size * share))
    assert "damaged" in refused(file)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("place", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_corrupted_file_is_refused_or_served(tmp_path: Path, ending: str, place: float) -> None:
    """Corrupted weights may go unnoticed, but must not raise any other error."""
    file = saved(small_app(), tmp_path / f"model{ending}")
    content = bytearray(file.read_bytes())
    start = int(len(content) * place)
    content[start : start + 500] = bytes(range(250)) * 2
    file.write_bytes(content)
    try:
        imported(file)
    except InvalidRequest:
        assert list((tmp_path / "out").glob("*")) == []


@pytest.mark.parametrize("content", [b"", b"no model", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b"\x89PNG\r\n\x1a\n"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_that_is_not_a_model_is_refused(tmp_path: Path, content: bytes, ending: str) -> None:
    file = tmp_path / f"model{ending}"
    file.write_bytes(content)
    refused(file)


def test_a_zip_with_other_members_is_refused(tmp_path: Path) -> None:
    def zipped(*members: tuple[str, bytes]) -> Path:
        with zipfile.ZipFile(tmp_path / "model.keras", "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of two members of the same name
            for name, content in members:
                archive.writestr(name, content)
        return tmp_path / "model.keras"

    assert "'readme.txt'" in refused(zipped(("readme.txt", b"no model")))
    assert "once each" in refused(zipped(("config.json", b"{}")))
    assert "once each" in refused(zipped(("config.json", b"{}"), ("config.json", b"{}"), ("model.weights.h5", b"")))
    assert "'assets/x'" in refused(zipped(("config.json", b"{}"), ("model.weights.h5", b""), ("assets/x", b"")))
    assert "damaged" in refused(zipped(("config.json", b"{}"), ("model.weights.h5", b"no weights")))
    assert "config.json" in refused(zipped(("config.json", bytes(9 * 2**20)), ("model.weights.h5", b"")))


@pytest.mark.parametrize("config", ["[]", "null", "3", "{", "{}", "[" * 100_000, '{"class_name": "Sequential"}'])
def test_an_invalid_configuration_is_refused(tmp_path: Path, config: str) -> None:
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file.attrs["model_config"] = config
    refused(tmp_path / "model.h5")


def test_weights_without_a_model_are_refused(tmp_path: Path) -> None:
    network = small_app()
    network.save_weights(tmp_path / "just.weights.h5")
    file = (tmp_path / "just.weights.h5").rename(tmp_path / "model.h5")
    assert "only weights" in refused(file)


def _external(file: h5py.File) -> None:
    file.create_dataset("stolen", (64,), "u1", external=[("/etc/passwd", 0, 64)])


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((64,), "u1")
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "x", (64,))
    file.create_virtual_dataset("stolen", layout)


def _linked(file: h5py.File) -> None:
    file["stolen"] = h5py.ExternalLink("/tmp/other.h5", "/x")


def _huge(file: h5py.File) -> None:
    file.create_dataset("huge", (2**40,), "f4", chunks=(2**20,), compression="gzip")


def _objects(file: h5py.File) -> None:
    file.create_dataset("texts", data=["a", "b"], dtype=h5py.string_dtype())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_external, "another file"),
        (_virtual, "another file"),
        (_linked, "external link"),
        (_huge, "bytes of memory"),
        (_objects, "not a type of weights"),
    ],
)
def test_weights_outside_the_file_or_too_big_are_refused(
    tmp_path: Path, change: Callable[[h5py.File], None], reason: str
) -> None:
    good = saved(small_app(), tmp_path / "good.keras")
    assert reason in refused(with_weights(good, tmp_path / "bad.keras", change))
    old = saved(small_app(), tmp_path / "bad.h5")
    with h5py.File(old, "r+") as file:
        change(file)
    assert reason in refused(old)


def test_cyclic_groups_are_visited_once(tmp_path: Path, threads: int) -> None:
    def circle(file: h5py.File) -> None:
        group = file.create_group("round")
        group["again"] = file["/"]

    file = with_weights(saved(small_app(), tmp_path / "good.keras"), tmp_path / "model.keras", circle)
    assert served(file, imported(file), threads).shape == (3, 10)


def command(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process with its limits."""
    return subprocess.run(
        [sys.executable, "-m", "worker.importing", *words],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


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
    file = with_config(source, tmp_path / "bad.keras", _set_config(6, units=3_000_000))
    done = command(str(file), f"--out={tmp_path / 'out'}")
    assert done.returncode != 0
    assert not list((tmp_path / "out").glob("*"))
