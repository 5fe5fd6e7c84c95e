"""Test-time augmentation: six views for images with a low confidence, independent of the batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from shared.domain.card import Views
from worker.data.augment import shift as shift_images
from worker.evaluation import evaluate
from worker.serving import forward, keras_runtime, openvino_runtime
from worker.serving.tta import VIEWS, log, softmax

SIZE = (12, 10, 3)
IMAGES = np.random.default_rng(1).integers(0, 256, (60, *SIZE), dtype=np.uint8)


def small_model() -> Any:
    """Return a model with random weights, whose output depends on positions in the image."""
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input(SIZE),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(4),
            keras.layers.Rescaling(4),
            keras.layers.Softmax(),
        ]
    )


@pytest.fixture(scope="module")
def model() -> Any:
    return small_model()


@pytest.fixture(scope="module", params=["keras", "openvino"])
def network(request: pytest.FixtureRequest, model: Any, tmp_path_factory: pytest.TempPathFactory) -> forward.Network:
    """The model on each of the two runtimes."""
    if request.param == "keras":
        return keras_runtime.compiled(model)
    file = tmp_path_factory.mktemp("exported") / "openvino.zip"
    openvino_runtime.export(model, file)
    return openvino_runtime.load(file, 2)


@pytest.fixture(scope="module")
def expected(model: Any) -> Callable[[float], NDArray[Any]]:
    """Return the expected results for a threshold, computed in NumPy."""
    answers = [evaluate.predict(model, seen(IMAGES, view.shift, mirrored=view.mirrored)) for view in VIEWS]
    six = softmax(sum(view.weight * log(answer) for view, answer in zip(VIEWS, answers, strict=True)))
    return lambda below: np.where(answers[0].max(axis=1, keepdims=True) < below, six, answers[0])


def seen(images: NDArray[np.uint8], shift: int, *, mirrored: bool) -> NDArray[np.uint8]:
    moved = shift_images(images, np.full((len(images), 2), shift), abs(shift))
    return moved[:, :, ::-1] if mirrored else moved


def confidences(model: Any) -> NDArray[Any]:
    return evaluate.predict(model, IMAGES).max(axis=1)


@pytest.fixture(scope="module")
def half(model: Any) -> float:
    """A threshold that half of the images reach, with a margin above rounding errors."""
    ordered = np.sort(confidences(model))
    middle = len(ordered) // 2
    assert ordered[middle] - ordered[middle - 1] > 1e-4
    return float((ordered[middle - 1] + ordered[middle]) / 2)


def test_one_view_equals_the_network(network: forward.Network, expected: Callable[[float], NDArray[Any]]) -> None:
    np.testing.assert_allclose(forward.with_tta(network)(IMAGES), expected(forward.NEVER), atol=1e-5)


def test_six_views_average_the_logits(network: forward.Network, expected: Callable[[float], NDArray[Any]]) -> None:
    six = forward.with_tta(network, forward.ALWAYS)(IMAGES)
    assert np.abs(six - expected(forward.NEVER)).max() > 0.01
    np.testing.assert_allclose(six, expected(forward.ALWAYS), atol=1e-5)


def test_adaptive_views_change_only_unsure_results(
    model: Any, network: forward.Network, expected: Callable[[float], NDArray[Any]], half: float
) -> None:
    answers = forward.with_tta(network, half)(IMAGES)
    sure = confidences(model) >= half
    assert np.count_nonzero(sure) == len(IMAGES) // 2
    np.testing.assert_allclose(answers, expected(half), atol=1e-5)
    np.testing.assert_allclose(answers[sure], expected(forward.NEVER)[sure], atol=1e-5)
    np.testing.assert_allclose(answers[~sure], expected(forward.ALWAYS)[~sure], atol=1e-5)


def test_results_do_not_depend_on_the_batch(network: forward.Network, half: float) -> None:
    serve = forward.with_tta(network, half)
    together = serve(IMAGES)
    alone = np.concatenate([serve(IMAGES[[place]]) for place in range(len(IMAGES))])
    order = np.random.default_rng(2).permutation(len(IMAGES))
    np.testing.assert_allclose(alone, together, atol=1e-5)
    np.testing.assert_allclose(serve(IMAGES[order]), together[order], atol=1e-5)
    np.testing.assert_allclose(evaluate.predict_served(serve, np.tile(IMAGES, (5, 1, 1, 1)))[-60:], together, atol=1e-5)


@pytest.mark.parametrize("sure", [True, False])
def test_a_batch_of_only_sure_or_only_unsure_images(
    model: Any, network: forward.Network, expected: Callable[[float], NDArray[Any]], half: float, sure: bool
) -> None:
    chosen = (confidences(model) >= half) == sure
    np.testing.assert_allclose(forward.with_tta(network, half)(IMAGES[chosen]), expected(half)[chosen], atol=1e-5)


@pytest.mark.parametrize("below", [forward.NEVER, 0.5, forward.ALWAYS])
def test_results_are_float32_probabilities(network: forward.Network, below: float) -> None:
    answers = forward.with_tta(network, below)(IMAGES)
    assert (answers.dtype, answers.shape) == (np.float32, (60, 4))
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)


def test_a_certain_result_is_finite() -> None:
    certain = keras.Sequential(
        [keras.Input(SIZE), keras.layers.Flatten(), keras.layers.Dense(2), keras.layers.Softmax()]
    )
    certain.set_weights([weights * 0 + [0, 1e6] for weights in certain.get_weights()])
    serve = forward.with_tta(keras_runtime.compiled(certain), forward.ALWAYS)
    np.testing.assert_allclose(serve(IMAGES[:2]), [[0, 1]] * 2, atol=1e-6)


def test_the_networks_own_output_is_not_modified(model: Any, half: float) -> None:
    given = keras_runtime.compiled(model)(IMAGES)
    kept = given.copy()
    forward.with_tta(lambda images: np.resize(given, (len(images), 4)) if len(images) != len(given) else given, half)(
        IMAGES
    )
    np.testing.assert_array_equal(given, kept)


@pytest.mark.parametrize(
    ("views", "below"),
    [
        (None, forward.NEVER),
        (Views(served=1, single_accuracy=0.5, six_accuracy=0.5), forward.NEVER),
        (Views(served=6, single_accuracy=0.5, six_accuracy=0.5), forward.ALWAYS),
        (Views(served="adaptive", threshold=0.86, share=0.1, single_accuracy=0.5, six_accuracy=0.5), 0.86),
        (Views(served="adaptive", threshold=0.0, share=0.0, single_accuracy=0.5, six_accuracy=0.5), forward.NEVER),
    ],
)
def test_the_threshold_comes_from_the_card(views: Views | None, below: float) -> None:
    assert forward.tta_threshold(views) == below
