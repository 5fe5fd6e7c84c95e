import math
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from worker.evaluation import evaluate
from worker.evaluation.measurements import unknown_by_score
from worker.serving.keras_runtime import compiled
from worker.serving.tta import softmax


def rows(*values: tuple[float, ...]) -> NDArray[np.float32]:
    return np.array(values, dtype=np.float32)


def test_confusion_matrix_has_truth_in_rows() -> None:
    confusion = evaluate.confusion_matrix(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0]), 3)
    assert confusion.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


def test_confusion_matrix_of_uint8_labels_does_not_overflow() -> None:
    truth = np.full(3, 99, dtype=np.uint8)
    assert evaluate.confusion_matrix(truth, truth, 100)[99, 99] == 3


def test_accuracy() -> None:
    assert evaluate.accuracy(np.array([[3, 1], [0, 0]])) == 0.75


def test_per_class_by_hand() -> None:
    cat, dog = evaluate.per_class(np.array([[3, 1], [2, 4]]), ("cat", "dog"))
    assert (cat.label, cat.precision, cat.recall, cat.support) == ("cat", 3 / 5, 3 / 4, 4)
    assert cat.f1 == pytest.approx(2 * (3 / 5) * (3 / 4) / (3 / 5 + 3 / 4))
    assert (dog.label, dog.precision, dog.recall, dog.support) == ("dog", 4 / 5, 4 / 6, 6)


def test_a_class_without_images_and_predictions_scores_zero() -> None:
    _, dog = evaluate.per_class(np.array([[2, 0], [0, 0]]), ("cat", "dog"))
    assert (dog.precision, dog.recall, dog.f1, dog.support) == (0, 0, 0, 0)


def test_cross_entropy_by_hand() -> None:
    loss = evaluate.cross_entropy(rows((0.5, 0.5), (0.25, 0.75)), np.array([0, 1]))
    assert loss == pytest.approx((math.log(2) - math.log(0.75)) / 2)


def test_cross_entropy_of_a_fully_confident_mistake_is_finite() -> None:
    assert evaluate.cross_entropy(rows((1, 0)), np.array([1])) == pytest.approx(-math.log(evaluate.EPSILON))


def test_cross_entropy_agrees_with_keras() -> None:
    generator = np.random.default_rng(1)
    probabilities = generator.dirichlet(np.ones(10), 200).astype(np.float32)
    truth = generator.integers(0, 10, 200)
    theirs = float(np.mean(keras.losses.sparse_categorical_crossentropy(truth, probabilities)))
    assert evaluate.cross_entropy(probabilities, truth) == pytest.approx(theirs, rel=1e-5)


def test_calibration_error_by_hand() -> None:
    # Two bins of two: confidence 0.8 with 1 of 2 right is off by 0.3, confidence 0.6 with 2 of 2 right by 0.4.
    probabilities = rows((0.8, 0.2), (0.8, 0.2), (0.4, 0.6), (0.4, 0.6))
    assert evaluate.calibration_error(probabilities, np.array([0, 1, 1, 1])) == pytest.approx(0.35)


def test_a_bin_is_closed_above() -> None:
    # With two bins, 0.5 belongs to the lower one: (|0 − 0.5| + |1 − 1|) / 2, where one bin for both would give 0.25.
    assert evaluate.calibration_error(rows((0.5, 0.5), (0, 1)), np.array([1, 1]), bins=2) == pytest.approx(0.25)
    assert evaluate.calibration_error(rows((0.5, 0.5), (0, 1)), np.array([1, 0]), bins=2) == pytest.approx(0.75)


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(2, 12))
def test_metrics_are_consistent(seed: int, count: int, classes: int) -> None:
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.ones(classes), count).astype(np.float32)
    truth = generator.integers(0, classes, count)
    metrics = evaluate.measure(probabilities, truth, [str(index) for index in range(classes)])
    assert sum(map(sum, metrics.confusion_matrix)) == sum(row.support for row in metrics.per_class) == count
    weighted_recall = sum(row.recall * row.support for row in metrics.per_class) / count
    assert (
        metrics.accuracy == pytest.approx(weighted_recall) == pytest.approx(np.mean(probabilities.argmax(1) == truth))
    )


@given(st.integers(0, 2**32 - 1))
def test_calibration_error_bounds_the_gap_of_the_means(seed: int) -> None:
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.ones(4), 50)
    truth = generator.integers(0, 4, 50)
    gap = abs(np.mean(probabilities.argmax(1) == truth) - probabilities.max(1).mean())
    assert gap - 1e-9 <= evaluate.calibration_error(probabilities, truth) <= 1


def test_the_reliability_curve_holds_every_image_once() -> None:
    curve = evaluate.reliability(rows((0.8, 0.2), (0.8, 0.2), (0.4, 0.6)), np.array([0, 1, 1]), bins=2)
    assert [row.upper for row in curve] == [0.5, 1.0]
    assert [row.count for row in curve] == [0, 3]
    assert (curve[0].confidence, curve[0].accuracy) == (0, 0)
    assert (curve[1].confidence, curve[1].accuracy) == pytest.approx((2.2 / 3, 2 / 3))


@pytest.mark.parametrize("true", [0.3, 1.0, 2.5])
def test_the_temperature_of_scaled_logits_is_found(true: float) -> None:
    generator = np.random.default_rng(4)
    logits = generator.normal(scale=2, size=(20_000, 5))
    truth = np.array([generator.choice(5, p=row) for row in softmax(logits)])
    assert evaluate.temperature(logits * true, truth) == pytest.approx(true, rel=0.05)


def test_the_temperature_is_a_minimum() -> None:
    generator = np.random.default_rng(5)
    logits = generator.normal(size=(200, 4)) * 3
    truth = (logits + generator.normal(size=(200, 4)) * 3).argmax(axis=1)
    best = evaluate.temperature(logits, truth)
    losses = [evaluate.cross_entropy(softmax(logits / (best * factor)), truth) for factor in (0.99, 1, 1.01)]
    assert min(losses) == losses[1]


@pytest.mark.parametrize(("right", "bound"), [(True, 0.05), (False, 20.0)])
def test_the_temperature_stays_within_bounds(right: bool, bound: float) -> None:
    logits = np.array([[0.1, 0.0]])
    assert evaluate.temperature(logits, np.array([0 if right else 1])) == pytest.approx(bound, rel=1e-3)


def test_calibration_includes_that_before_the_temperature() -> None:
    generator = np.random.default_rng(6)
    logits, truth = generator.normal(size=(300, 4)), generator.integers(0, 4, 300)
    result = evaluate.calibration(softmax(logits / 2.5), truth, 2.5)
    assert result.error_before == pytest.approx(evaluate.calibration_error(softmax(logits), truth))
    assert result.loss_before == pytest.approx(evaluate.cross_entropy(softmax(logits), truth))
    assert result.error_after == evaluate.calibration_error(softmax(logits / 2.5), truth)
    assert (result.temperature, sum(row.count for row in result.reliability)) == (2.5, 300)


def test_median_seconds_warms_up_first() -> None:
    calls: list[int] = []
    assert evaluate.median_seconds(lambda: calls.append(1), repeats=3) >= 0
    assert len(calls) == evaluate.WARM_UP + 3


@pytest.fixture(scope="module")
def network() -> Any:
    return keras.Sequential(
        [
            keras.Input((8, 8, 3), dtype="uint8"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(4, activation="softmax"),
        ]
    )


def test_served_predictions_equal_those_of_keras_in_batches(network: Any) -> None:
    images, sizes = evaluate.noise((300, 8, 8, 3)), []

    def forward(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        sizes.append(len(batch))
        return compiled(network)(batch)

    answers = evaluate.predict_served(forward, images)
    assert (answers.shape, sizes) == ((300, 4), [256, 44])
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(answers, evaluate.predict(network, images), atol=1e-5)


def test_latency_of_a_real_network(network: Any) -> None:
    measured = evaluate.latency(compiled(network), evaluate.noise((300, 8, 8, 3)), repeats=3)
    assert (measured.batch_size, measured.repeats) == (256, 3)
    assert measured.single_image_ms > 0 < measured.batch_images_per_second


def test_latency_uses_all_images_in_turn() -> None:
    images = np.arange(5, dtype=np.uint8)[:, None, None, None]
    seen: dict[int, list[NDArray[np.uint8]]] = {1: [], 256: []}

    def forward(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen[len(batch)].append(batch.ravel())
        return np.zeros((len(batch), 2), np.float32)

    evaluate.latency(forward, images, repeats=2)
    for batches in seen.values():
        assert np.concatenate(batches).tolist() == [place % 5 for place in range(len(batches) * len(batches[0]))]


def test_the_rule_for_unknown_pictures_accepts_most_of_the_known_ones() -> None:
    """Given 100 known pictures with best scores from 0.01 to 1, Then all but the five lowest reach the score."""
    known = np.stack([np.arange(1, 101) / 100, np.zeros(100)], axis=1)
    rule = unknown_by_score(known, np.array([[0.04, 0], [0.05, 0], [0.07, 0], [0, 0.9]]))
    assert (rule.score, rule.distance, rule.accepted) == (pytest.approx(0.05), None, 0.75)
    assert [rule.covers(score) for score in (0.04, 0.06)] == [True, False]
