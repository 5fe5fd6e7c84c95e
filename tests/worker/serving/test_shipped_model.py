"""The shipped champion is one intact version that matches its card."""

import hashlib
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from shared.domain.card import ModelCard
from shared.models.registry import Registry
from shared.training.datasets import CIFAR10_LABELS
from tests.worker.kit import PICTURES
from worker.evaluation import evaluate
from worker.serving import openvino_runtime

MODELS = Path(__file__).parents[3] / "models"


@pytest.fixture(scope="module")
def folder() -> Path:
    return MODELS / Registry().champion().version


@pytest.fixture(scope="module")
def card(folder: Path) -> ModelCard:
    return ModelCard.read(folder / "card.json")


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return keras.models.load_model(folder / "model.keras", compile=False)


def test_the_files_match_the_card(folder: Path, card: ModelCard) -> None:
    content = (folder / "model.keras").read_bytes()
    assert hashlib.sha256(content).hexdigest() == card.file_sha256
    assert len(content) == card.size.file_bytes
    assert folder.name == card.version
    assert hashlib.sha256((folder / "openvino.zip").read_bytes()).hexdigest() == card.openvino_sha256


def test_it_was_trained_by_a_teacher_that_ships_too(card: ModelCard) -> None:
    assert (card.preset, card.params["epochs"], len(card.history)) == ("distil", 50, 50)
    assert Registry().card(str(card.params["teacher"])).labels == card.labels


def test_the_stored_predictions_match_the_confusion_matrix(folder: Path, card: ModelCard) -> None:
    answers = np.frombuffer((folder / "test_predictions.bin").read_bytes(), np.uint8)
    np.testing.assert_array_equal(np.bincount(answers, minlength=10), np.sum(card.metrics.confusion_matrix, axis=0))


def test_no_images_or_labels_of_the_data_set_ship(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    assert names == {"card.json", "model.keras", "openvino.zip", "test_predictions.bin"}


def test_the_labels_are_those_of_cifar10(card: ModelCard) -> None:
    assert card.labels == CIFAR10_LABELS
    assert (card.input.height, card.input.width, card.input.channels) == (32, 32, 3)


def test_it_was_evaluated_on_all_test_images_and_is_accurate(card: ModelCard) -> None:
    assert card.dataset.test == sum(map(sum, card.metrics.confusion_matrix)) == 10_000
    assert [row.support for row in card.metrics.per_class] == [1000] * 10
    assert card.metrics.accuracy >= 0.94


def test_the_card_contains_no_paths(folder: Path) -> None:
    text = (folder / "card.json").read_text()
    assert not [root for root in ("/root", "/home", "/Users", "/tmp", "/work") if root in text]


def test_the_parameter_count_matches_the_card(model: Any, card: ModelCard) -> None:
    assert model.count_params() == card.size.parameters


@pytest.mark.parametrize("count", [1, 2, 300])
def test_a_forward_pass_returns_probabilities(model: Any, count: int) -> None:
    answers = evaluate.predict(model, evaluate.noise((count, 32, 32, 3)))
    assert answers.shape == (count, 10)
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
    assert answers.min() >= 0


def test_openvino_and_keras_agree_on_the_sample_images(folder: Path, model: Any) -> None:
    """Check for equal classes, and probabilities within 0.001."""
    images = np.stack([np.asarray(Image.open(file)) for file in sorted(PICTURES.glob("*.png"))])
    answers = openvino_runtime.load(folder / "openvino.zip", 2)(images)
    expected = evaluate.predict(model, images)
    np.testing.assert_array_equal(answers.argmax(axis=1), expected.argmax(axis=1))
    np.testing.assert_allclose(answers, expected, atol=1e-3)
