"""The model that Darkroom ships with: one version, intact, and what its card says it is."""

import hashlib
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from shared.domain.card import ModelCard
from shared.training.datasets import CIFAR10_LABELS
from tests.worker.kit import PICTURES
from worker.evaluation import evaluate
from worker.serving import openvino_runtime

MODELS = Path(__file__).parents[3] / "models"


@pytest.fixture(scope="module")
def folder() -> Path:
    (folder,) = (path for path in MODELS.iterdir() if path.is_dir())
    return folder


@pytest.fixture(scope="module")
def card(folder: Path) -> ModelCard:
    return ModelCard.read(folder / "card.json")


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return keras.models.load_model(folder / "model.keras", compile=False)


def test_the_file_is_the_one_that_the_card_describes(folder: Path, card: ModelCard) -> None:
    content = (folder / "model.keras").read_bytes()
    assert hashlib.sha256(content).hexdigest() == card.file_sha256
    assert len(content) == card.size.file_bytes
    assert folder.name == card.version
    assert hashlib.sha256((folder / "openvino.zip").read_bytes()).hexdigest() == card.openvino_sha256


def test_it_is_of_preset_fast_and_has_its_history(card: ModelCard) -> None:
    assert (card.preset, card.params["epochs"], len(card.history)) == ("fast", 8, 8)


def test_the_kept_answers_are_those_that_the_card_counts(folder: Path, card: ModelCard) -> None:
    answers = np.frombuffer((folder / "test_predictions.bin").read_bytes(), np.uint8)
    np.testing.assert_array_equal(np.bincount(answers, minlength=10), np.sum(card.metrics.confusion_matrix, axis=0))


def test_no_image_of_the_data_set_and_no_right_answer_ships(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    assert names == {"card.json", "model.keras", "openvino.zip", "test_predictions.bin"}


def test_the_labels_are_those_of_cifar10(card: ModelCard) -> None:
    assert card.labels == CIFAR10_LABELS
    assert (card.input.height, card.input.width, card.input.channels) == (32, 32, 3)


def test_it_was_measured_on_all_test_images_and_is_good_enough(card: ModelCard) -> None:
    assert card.dataset.test == sum(map(sum, card.metrics.confusion_matrix)) == 10_000
    assert [row.support for row in card.metrics.per_class] == [1000] * 10
    assert card.metrics.accuracy >= 0.94


def test_the_card_names_no_place_on_the_machine_that_trained_it(folder: Path) -> None:
    text = (folder / "card.json").read_text()
    assert not [root for root in ("/root", "/home", "/Users", "/tmp", "/work") if root in text]


def test_it_has_the_parameters_that_the_card_counts(model: Any, card: ModelCard) -> None:
    assert model.count_params() == card.size.parameters


@pytest.mark.parametrize("count", [1, 2, 300])
def test_a_forward_pass_gives_probabilities(model: Any, count: int) -> None:
    answers = evaluate.predict(model, evaluate.noise((count, 32, 32, 3)))
    assert answers.shape == (count, 10)
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
    assert answers.min() >= 0


def test_openvino_answers_the_sample_pictures_as_keras_does(folder: Path, model: Any) -> None:
    """The same class, and probabilities within 0.001."""
    images = np.stack([np.asarray(Image.open(file)) for file in sorted(PICTURES.glob("*.png"))])
    answers = openvino_runtime.load(folder / "openvino.zip", 2)(images)
    expected = evaluate.predict(model, images)
    np.testing.assert_array_equal(answers.argmax(axis=1), expected.argmax(axis=1))
    np.testing.assert_allclose(answers, expected, atol=1e-3)
