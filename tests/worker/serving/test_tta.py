"""Test-time augmentation: the views and the choice of the threshold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from worker.serving import tta


def test_there_are_six_views_with_weights_that_sum_to_one() -> None:
    assert sum(view.weight for view in tta.VIEWS) == 1
    assert len({(view.shift, view.mirrored) for view in tta.VIEWS}) == len(tta.VIEWS) == 6
    assert tta.VIEWS[0] == tta.View(0.25, 0, mirrored=False)


def test_the_logarithm_of_zero_is_finite() -> None:
    np.testing.assert_allclose(tta.softmax(tta.log(np.eye(3))), np.eye(3), atol=1e-6)


def test_softmax_of_large_logits_is_finite() -> None:
    assert tta.softmax(np.array([[1e4, 0.0]])).tolist() == [[1, 0]]


def answers(*confidences: float) -> NDArray[np.float64]:
    return np.array([(confidence, 1 - confidence) for confidence in confidences])


def turned(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    return probabilities[:, ::-1]


def test_the_threshold_is_zero_if_six_views_change_nothing() -> None:
    assert tta.choose_threshold(answers(0.6, 0.9), answers(0.7, 0.8)) == 0


@pytest.mark.parametrize(("confidence", "threshold"), [(0.834, 0.84), (0.52, 0.53), (0.996, 1.0), (1.0, 1.0)])
def test_the_threshold_is_just_above_the_last_changed_image(confidence: float, threshold: float) -> None:
    one = answers(0.55, confidence, 0.999)
    six = np.where([[False], [True], [False]], turned(one), one)
    assert tta.choose_threshold(one, six) == pytest.approx(threshold)


def test_one_image_in_a_thousand_may_change() -> None:
    one = np.tile(answers(0.9), (2000, 1))
    one[:3] = answers(0.7, 0.95, 0.85)
    six = one.copy()
    six[:3] = turned(one[:3])
    assert tta.choose_threshold(one, six) == pytest.approx(0.71)


@given(st.integers(0, 2**32 - 1), st.integers(1, 3000))
def test_no_more_than_tolerated_change_above_the_threshold(seed: int, count: int) -> None:
    generator = np.random.default_rng(seed)
    one, six = generator.dirichlet(np.ones(4), (2, count))
    threshold = tta.choose_threshold(one, six)
    sure = one.max(axis=1) >= threshold
    assert np.count_nonzero((one.argmax(1) != six.argmax(1)) & sure) <= tta.TOLERATED * count
