"""Networks of `keras.applications` as Backbones, with weights that the test makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import applications as keras_applications

from shared.domain.card import CARD_FILE, MODEL_FILE, ModelCard
from shared.domain.errors import InvalidRequest, NotFound
from shared.domain.preprocessing import PREPROCESSINGS
from shared.models.registry import Registry
from worker.backbones.applications import Application, adapted, load, names, preprocessing_of
from worker.backbones.make import main, make_application
from worker.heads.fit import fit_head
from worker.publishing.publish import Provenance
from worker.publishing.publish_head import publish_head
from worker.serving import keras_runtime
from worker.serving.backbone import Backbone, Backbones
from worker.serving.forward import EMBEDDING, PROBABILITIES
from worker.serving.models import ModelCache

SIDE, LABELS = 32, ("a", "b", "c", "d", "e")
pytestmark = pytest.mark.usefixtures("few_passes")


def made(build: Any, **how: Any) -> Any:
    """Return a small network with random weights, whose activations do not vanish."""
    keras.utils.set_random_seed(1)
    network = build(weights=None, input_shape=(SIDE, SIDE, 3), classes=len(LABELS), **how)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(noise(64).astype(np.float32) - 100, training=True)
    last = [layer for layer in network.layers if layer.weights][-1]
    last.set_weights([np.random.default_rng(0).normal(size=weight.shape) for weight in last.weights])
    return network


def noise(count: int) -> Any:
    return np.random.default_rng(1).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)


def test_each_preprocessing_is_known_by_what_it_does() -> None:
    found = {name: preprocessing_of(getattr(keras_applications, real)) for name, real in names().items()}
    wanted = {
        "mobilenetv2": "-1..1",
        "resnet50": "imagenet-bgr",
        "densenet121": "imagenet",
        "mobilenetv3small": "0-255",
    }
    assert found | wanted == found


@pytest.mark.parametrize(
    ("build", "how", "dimensions"),
    [
        (keras_applications.MobileNetV2, {"alpha": 0.35}, 1280),  # mean pooling and a dense layer
        (keras_applications.MobileNetV3Small, {"alpha": 0.75, "minimalistic": True}, 1024),  # ends in convolutions
    ],
)
def test_it_answers_as_before_and_has_an_embedding(build: Any, how: dict[str, Any], dimensions: int) -> None:
    network = made(build, **how)
    model = adapted(network)
    images = noise(3).astype(np.float32)
    np.testing.assert_allclose(model.predict(images, verbose=0), network.predict(images, verbose=0), atol=1e-5)
    assert Application(model, PREPROCESSINGS["-1..1"]).dimensions == dimensions
    assert model.layers[-1].name == PROBABILITIES


def test_a_network_without_a_dense_end_is_refused() -> None:
    pixels = keras.Input((SIDE, SIDE, 3))
    network = keras.Model(pixels, keras.layers.Flatten()(keras.layers.Conv2D(5, 3)(pixels)))
    with pytest.raises(InvalidRequest, match="not dense"):
        adapted(network)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a Backbone whose preprocessing moves, scales and turns the channels."""
    out = tmp_path_factory.mktemp("models")
    network = adapted(made(keras_applications.MobileNetV2, alpha=0.35))
    make_application("tiny", Application(network, PREPROCESSINGS["imagenet-bgr"]), LABELS, out)
    return out


@pytest.fixture(scope="module")
def backbone(folder: Path) -> Backbone:
    return Backbones(Registry(folder), 1).get(Registry(folder).backbone("tiny").version)


def test_its_card_describes_it(folder: Path, backbone: Backbone) -> None:
    card = ModelCard.read(folder / backbone.version / CARD_FILE)
    assert (card.preset, card.classifier, card.owner, card.labels) == ("tiny", "everyday", None, LABELS)
    assert (card.embedding, card.input.width, card.is_backbone) == (1280, SIDE, True)
    assert card.preprocessing == PREPROCESSINGS["imagenet-bgr"]


def test_a_head_on_it_answers_alike_in_every_form(folder: Path, backbone: Backbone, threads: int) -> None:
    """Served from the Backbone, by OpenVINO and by Keras as on a GPU, and as a whole network in Keras."""
    images = noise(16)
    fitted = fit_head(backbone.embed(images), np.arange(16) % 2, 2)
    provenance = Provenance(preset="head", params={}, labels=("x", "y"), owner="me", classifier="things")
    card = publish_head(fitted.head, backbone, Registry(folder), provenance, folder)
    assert card.preprocessing == backbone.card.preprocessing
    served = ModelCache(Registry(folder), 1).get(card.version).answer(images).probabilities
    file = folder / card.version / MODEL_FILE
    whole = keras_runtime.load(file, threads, card.preprocessing)(images)
    np.testing.assert_allclose(whole, served, atol=1e-3)
    by_keras = keras_runtime.load_backbone(folder / backbone.version / MODEL_FILE, threads, backbone.card.preprocessing)
    embeddings = by_keras.run(images)[EMBEDDING]
    np.testing.assert_allclose(embeddings, backbone.embed(images), rtol=2e-3, atol=2e-3)
    assert np.abs(keras_runtime.load(file, threads)(images) - served).max() > 0.01, "without its preprocessing"
    one, other = by_keras.locating(), backbone.network.locating()
    assert one and other
    np.testing.assert_allclose(one(images[0], 1), other(images[0], 1), rtol=1e-3, atol=1e-3)


def test_a_name_or_file_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NotFound, match=r"no network mobilnet; it has .*mobilenet"):
        load("mobilnet")
    with pytest.raises(InvalidRequest, match="weights of MobileNetV2"):
        load("mobilenetv2", tmp_path / "missing.h5")
    with pytest.raises(InvalidRequest, match="5 outputs for 1 labels"):
        network = keras.Sequential([keras.Input((8,)), keras.layers.Dense(5)])
        make_application("tiny", Application(network, PREPROCESSINGS["0-1"]), ("a",), tmp_path)
    assert main(["mobilnet", f"--out={tmp_path}"]) == 1
    assert capsys.readouterr().err.startswith("keras.applications has no network mobilnet")
    assert not list(tmp_path.iterdir())
