"""What preset `distil` learns: the answers of another version."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.domain.errors import InvalidRequest
from shared.models.registry import Registry
from shared.services import Services
from shared.training.datasets import CIFAR10_LABELS
from worker.serving.locate import by_occlusion
from worker.serving.models import Answers, LoadedModel
from worker.training.teacher import kept_targets, load_teacher, soft_targets

CARD = Registry().champion()


def teacher(*probabilities: float) -> LoadedModel:
    """Return a version that gives every image the same answer."""

    def classify(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.tile(np.array(probabilities, np.float32), (len(images), 1))

    return LoadedModel(CARD, lambda images: Answers(classify(images)), by_occlusion(classify))


def images(side: int = 32, count: int = 2) -> NDArray[np.uint8]:
    return np.zeros((count, side, side, 3), np.uint8)


def test_targets_are_the_answers_softened() -> None:
    assert soft_targets(teacher(0.9, 0.1, 0), images(), 1)[1].tolist() == pytest.approx([0.9, 0.1, 0])
    softened = soft_targets(teacher(0.9, 0.1, 0), images(), 2)
    assert (softened.shape, softened.dtype) == ((2, 3), np.float32)
    assert softened[0].tolist() == pytest.approx([0.75, 0.25, 0])  # √0.9 : √0.1 is 3 : 1


def test_a_teacher_sees_images_of_its_own_size_only() -> None:
    with pytest.raises(InvalidRequest, match=r"takes images of 32 × 32 pixels, .* have 40 × 40"):
        soft_targets(teacher(1), images(40), 2)


def test_a_teacher_that_crops_would_see_other_pictures_than_it_was_made_for() -> None:
    card = CARD.model_copy(update={"preprocessing": CARD.preprocessing.model_copy(update={"resize": "crop"})})
    with pytest.raises(InvalidRequest, match="crops pictures"):
        soft_targets(replace(teacher(1), card=card), images(), 2)


def test_a_teacher_knows_the_labels_of_the_dataset_in_their_order() -> None:
    assert load_teacher(Registry(), CARD.version, CIFAR10_LABELS).card == CARD
    with pytest.raises(InvalidRequest, match="labels of the teacher"):
        load_teacher(Registry(), CARD.version, CIFAR10_LABELS[::-1])


def test_a_training_that_resumes_learns_the_same_targets(services: Services) -> None:
    first, second = (np.full((2, 3), value, np.float32) for value in (1, 2))
    for job_id, made, kept in [("one", first, first), ("one", second, first), ("two", second, second)]:
        np.testing.assert_array_equal(kept_targets(services.blobs, job_id, lambda made=made: made), kept)
