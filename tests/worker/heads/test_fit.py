"""Heads on Embeddings: methods, folds, the rule for unknown pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.domain.card import HEAD_FILE
from worker.evaluation import evaluate
from worker.heads.fit import FOLDS, FittedHead, Progress, fit_head
from worker.heads.folds import assign_folds
from worker.heads.methods import ABSENT, METHODS, Method, Projection
from worker.serving.forward import ModelUnusable
from worker.serving.head import Head

D, CLASSES = 48, 6


def clouds(count: int, seed: int = 0, classes: int = CLASSES) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
    """Return `count` Embeddings of each class: a centre, noise that all share along a few axes, and a little noise."""
    centres = np.random.default_rng(1).random((classes, D)) + 0.2
    shared = np.random.default_rng(2).normal(size=(4, D))
    rng = np.random.default_rng(seed)
    labels = np.tile(np.arange(classes), count)
    noise = 0.4 * rng.normal(size=(len(labels), 4)) @ shared + 0.15 * rng.normal(size=(len(labels), D))
    return np.abs(centres[labels] + noise).astype(np.float16), labels


@pytest.fixture(scope="module")
def fitted() -> FittedHead:
    return fit_head(*clouds(40), CLASSES)


def accuracy(head: Head, count: int = 60) -> float:
    embeddings, labels = clouds(count, seed=9)
    return float(np.mean(head.probabilities(embeddings).argmax(axis=1) == labels))


def test_it_is_as_good_as_the_best_method(fitted: FittedHead) -> None:
    best = max(accuracy(head_of(method, strength)) for method in METHODS for strength in method.strengths)
    assert accuracy(fitted.head) >= best - 0.02
    assert best > 0.9


def head_of(method: Method, strength: float) -> Head:
    embeddings, labels = clouds(40)
    (linear,) = method.fit(embeddings.astype(np.float32), labels, CLASSES, [strength])
    return Head(linear.weights, linear.bias, np.zeros((1, D), np.float32))


@pytest.mark.parametrize("count", [1, 3, 8, 40])
def test_principal_axes_keep_all_distances(count: int) -> None:
    """With fewer pictures than dimensions, and with more."""
    embeddings = clouds(count)[0].astype(np.float32)
    project = Projection.of(embeddings)
    projected = project(embeddings)
    assert project.axes.shape == (D, D)
    assert np.allclose(
        projected @ projected.T, (embeddings - project.centre) @ (embeddings - project.centre).T, atol=1e-3
    )
    variances = projected.var(axis=0)
    assert np.all(np.diff(variances) < 1e-4), "the biggest first"


def test_probabilities_are_calibrated(fitted: FittedHead) -> None:
    embeddings, labels = clouds(200, seed=5)
    assert evaluate.calibration_error(fitted.head.probabilities(embeddings), labels) < 0.05


def test_the_rule_accepts_known_pictures_and_refuses_others(fitted: FittedHead) -> None:
    known, _ = clouds(60, seed=7)
    strange = np.random.default_rng(3).random((300, D)) ** 4 * 3

    def refused(embeddings: NDArray[np.float16]) -> float:
        scores, novelty = fitted.head.probabilities(embeddings).max(axis=1), fitted.head.novelty(embeddings)
        covered = [fitted.unknown.covers(*pair) for pair in zip(scores.tolist(), novelty.tolist(), strict=True)]
        return float(np.mean(covered))

    assert fitted.unknown.accepted == pytest.approx(0.95, abs=0.01)
    assert refused(known) < 0.12
    assert refused(strange.astype(np.float16)) > 0.9


def test_every_step_is_reported_and_can_stop_the_fit() -> None:
    steps: list[Progress] = []
    fit_head(*clouds(3), CLASSES, progress=steps.append)
    assert [step.done for step in steps] == list(range(1, steps[0].steps + 1))
    assert {step.tried.method.split()[0] for step in steps if step.tried} == {method.name for method in METHODS}

    class Cancelled(Exception):
        pass

    def cancel(_: Progress) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        fit_head(*clouds(3), CLASSES, progress=cancel)


@pytest.mark.parametrize(("count", "least"), [(1, 0.2), (2, 0.3), (5, 0.6)])
def test_few_pictures_are_enough(count: int, least: float) -> None:
    fitted = fit_head(*clouds(count), CLASSES)
    assert accuracy(fitted.head) > least  # chance: 0.17
    assert np.isfinite([fitted.temperature, fitted.unknown.score, fitted.unknown.distance]).all()


def test_identical_pictures_are_no_obstacle() -> None:
    embeddings = np.ones((8, D), np.float16)
    fitted = fit_head(embeddings, np.arange(8) % 2, 2)
    np.testing.assert_allclose(fitted.head.probabilities(embeddings), 0.5, atol=1e-3)


def test_a_label_without_pictures_is_never_the_answer() -> None:
    embeddings, labels = clouds(12)
    spread = np.array([0, 2, 3, 5, 6, 8])[labels]
    fitted = fit_head(embeddings, spread, 9)
    probabilities = fitted.head.probabilities(embeddings)
    assert (probabilities[:, [1, 4, 7]] == 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert np.mean(probabilities.argmax(axis=1) == spread) > 0.9
    for method in METHODS:
        linear = method.fit(embeddings.astype(np.float32), spread, 9, method.strengths)[-1]
        assert (linear.bias[[1, 4, 7]] == ABSENT).all()


def test_doubted_labels_are_visible_in_the_held_out_probabilities() -> None:
    embeddings, labels = clouds(40)
    wrong = labels.copy()
    wrong[:12] = (labels[:12] + 1) % CLASSES
    fitted = fit_head(embeddings, wrong, CLASSES)
    given_label = fitted.probabilities[np.arange(len(wrong)), wrong]
    assert np.mean(np.argsort(given_label)[:12] < 12) > 0.7
    assert np.mean(fitted.probabilities[:12].argmax(axis=1) == labels[:12]) > 0.7


def test_a_fit_is_repeatable() -> None:
    first, second = (fit_head(*clouds(10), CLASSES, seed=4) for _ in range(2))
    np.testing.assert_array_equal(first.head.weights, second.head.weights)


def test_copies_in_one_group_do_not_help() -> None:
    """Random labels with a copy of each picture: only if both are held out together is the accuracy that of chance."""
    rng = np.random.default_rng(0)
    one = rng.random((60, D)).astype(np.float16)
    labels, groups = np.tile(rng.integers(0, 3, 60), 2), np.tile(np.arange(60), 2)
    apart = fit_head(np.tile(one, (2, 1)), labels, 3)
    together = fit_head(np.tile(one, (2, 1)), labels, 3, groups=groups)
    assert apart.chosen.accuracy > 0.7
    assert together.chosen.accuracy < 0.6


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), min_size=2, max_size=80),
    st.integers(0, 5),
)
def test_a_group_is_in_one_fold_and_labels_are_spread(pictures: list[tuple[int, int]], seed: int) -> None:
    groups = np.array([group for _, group in pictures])
    fold = assign_folds(np.array([label for label, _ in pictures]), groups, seed)
    assert ((fold >= 0) & (fold < FOLDS)).all()
    for group in set(groups.tolist()):
        assert len(set(fold[groups == group].tolist())) == 1


def test_each_fold_has_a_fifth_of_each_label() -> None:
    labels = np.repeat(np.arange(4), 20)
    fold = assign_folds(labels, np.arange(80), seed=0)
    for label in range(4):
        assert np.bincount(fold[labels == label]).tolist() == [4] * 5


def test_a_head_is_read_as_it_was_written(fitted: FittedHead, tmp_path: Path) -> None:
    fitted.head.save(tmp_path)
    read, (embeddings, _) = Head.load(tmp_path / HEAD_FILE), clouds(5, seed=2)
    np.testing.assert_array_equal(read.probabilities(embeddings), fitted.head.probabilities(embeddings))
    np.testing.assert_array_equal(read.novelty(embeddings), fitted.head.novelty(embeddings))
    (tmp_path / HEAD_FILE).write_bytes(b"PK\3\4 damaged")
    with pytest.raises(ModelUnusable, match=r"head\.npz"):
        Head.load(tmp_path / HEAD_FILE)
