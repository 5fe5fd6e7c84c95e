"""Doubted labels, and what more pictures would bring, on Embeddings whose right labels are known."""

from __future__ import annotations

import numpy as np
import pytest

from tests.worker.heads.test_fit import CLASSES, clouds
from worker.heads.curve import SHARES, accuracy_by_share, gains
from worker.heads.doubt import doubts
from worker.heads.fit import fit_head


def test_wrong_labels_are_the_most_doubted() -> None:
    embeddings, truth = clouds(40)
    given = truth.copy()
    given[::20] = (truth[::20] + 1) % CLASSES
    wrong = given != truth
    found = doubts(fit_head(embeddings, given, CLASSES).probabilities, given)
    most = np.argsort(-found.doubt)[: len(given) // 10]
    assert wrong[most].sum() >= 0.85 * wrong.sum()
    assert np.mean(found.best[wrong] == truth[wrong]) > 0.8
    assert np.mean(wrong[found.is_doubted]) > 0.8
    assert (found.best != given).all()
    assert ((found.doubt >= 0) & (found.doubt <= 1)).all()


def test_a_label_is_doubted_if_another_one_claims_its_picture() -> None:
    probabilities = np.array([[0.9, 0.1, 0], [0.8, 0.2, 0], [0.1, 0.9, 0], [0.95, 0.05, 0], [0.5, 0.5, 0]], np.float32)
    found = doubts(probabilities, np.array([0, 0, 1, 1, 1]))
    assert found.is_doubted.tolist() == [False, False, False, True, False]
    assert found.doubt.tolist() == pytest.approx([0.1, 0.2, 0.1, 0.95, 0.5], abs=1e-6)


def test_accuracy_grows_with_the_pictures() -> None:
    embeddings, labels = clouds(12)
    fitted = fit_head(embeddings, labels, CLASSES)
    groups = np.arange(len(labels))
    curve = accuracy_by_share(embeddings, labels, CLASSES, fitted.parts, groups=groups, seed=0)
    assert len(curve) == len(SHARES)
    assert curve[0] < fitted.chosen.accuracy
    assert curve[-1] == pytest.approx(fitted.chosen.accuracy, abs=0.1)


def test_a_label_with_few_pictures_and_many_mistakes_gains_most() -> None:
    gain = gains(np.array([100, 10, 10, 0]), np.array([90, 9, 4, 0]), (0.25, 0.5, 1), (0.6, 0.75, 0.86))
    assert gain.argmax() == 2
    assert gain[1] > gain[0] > 0
    flat = gains(np.array([10, 10]), np.array([9, 5]), (0.25, 1), (0.7, 0.7))
    assert flat == pytest.approx([0, 0])
