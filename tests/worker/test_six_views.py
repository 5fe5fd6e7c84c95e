from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from worker import views

IMAGES = np.random.default_rng(1).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)


def test_six_different_views_whose_weights_sum_to_one() -> None:
    found = list(views.views(IMAGES))
    assert [weight for weight, _ in found] == [0.25, 0.25, 0.125, 0.125, 0.125, 0.125]
    assert len({view.tobytes() for _, view in found}) == 6
    np.testing.assert_array_equal(found[0][1], IMAGES)
    np.testing.assert_array_equal(found[1][1], IMAGES[:, :, ::-1])
    np.testing.assert_array_equal(found[2][1][:, 1:, 1:], IMAGES[:, :-1, :-1])
    np.testing.assert_array_equal(found[4][1][:, :-1, :-1], IMAGES[:, 1:, 1:])


def test_an_answer_that_every_view_gives_stays() -> None:
    answer = np.array([[0.7, 0.2, 0.1]], np.float32)
    np.testing.assert_allclose(
        views.predict_six(lambda images: answer[[0] * len(images)], IMAGES), answer[[0] * 3], atol=1e-6
    )


def test_a_probability_of_zero_is_no_error() -> None:
    answers = views.predict_six(lambda images: np.eye(3)[: len(images)], IMAGES)
    np.testing.assert_allclose(answers, np.eye(3), atol=1e-6)


def test_softmax_of_large_logits_is_finite() -> None:
    assert views.softmax(np.array([[1e4, 0.0]])).tolist() == [[1, 0]]


def network(answer: str | None) -> Any:
    layers: list[Any] = [keras.Input((8, 8, 3)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    return keras.Sequential([*layers, keras.layers.Dense(4, activation=answer)])


def test_the_graph_gives_what_the_views_give() -> None:
    logits, probabilities = network(None), network("softmax")
    probabilities.set_weights(logits.get_weights())

    def predict(images: NDArray[np.uint8]) -> NDArray[Any]:
        return np.asarray(probabilities.predict(images, verbose=0))

    in_graph = views.in_graph(logits).predict(IMAGES, verbose=0)
    np.testing.assert_allclose(views.softmax(in_graph), views.predict_six(predict, IMAGES), atol=1e-5)


@pytest.mark.parametrize("count", [1, 5])
def test_the_graph_takes_any_number_of_images(count: int) -> None:
    assert views.in_graph(network(None))(IMAGES[[0] * count]).shape == (count, 4)
