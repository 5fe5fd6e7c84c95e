"""What is found out about a network: which pixel values it takes, and what its outputs are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from shared.domain.errors import InvalidRequest
from shared.domain.preprocessing import PREPROCESSINGS, Preprocessing
from shared.training.datasets import CIFAR10_LABELS
from tests.conftest import ROOT
from worker.data.datasets import Dataset
from worker.importing.adapt_model import adapt_model, check_shapes, try_network
from worker.importing.import_keras import fronts_of, load_network, measure_on
from worker.importing.input_range import InputRange, find_range
from worker.importing.keras_scores import last_activation
from worker.importing.labelled import labelled_pictures
from worker.importing.scores import find_scores

MODELS = ROOT / "tests" / "fixtures" / "models"
IMAGES = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)
ops, apps = keras.ops, keras.applications


def network(front: Callable[[Any], Any], side: int = 32) -> keras.Model:
    """Return a network that begins with `front`."""
    images = keras.Input((side, side, 3))
    convolved = layers.Conv2D(4, 3, activation="relu")(front(images))
    return keras.Model(images, layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(convolved)))


def augmented(images: Any) -> Any:
    for layer in (layers.RandomFlip(), layers.RandomRotation(0.1), layers.RandomContrast(0.2), layers.Dropout(0.1)):
        images = layer(images)
    return images


def sized(images: Any) -> Any:
    for layer in (layers.Resizing(40, 36), layers.CenterCrop(30, 30), layers.ZeroPadding2D(1), layers.Cropping2D(2)):
        images = layer(images)
    return layers.Identity()(images)


def to_1(images: Any) -> Any:
    return layers.Rescaling(1 / 255)(images)


def signed(images: Any) -> Any:
    return layers.Rescaling(1 / 127.5, offset=-1)(images)


def nested(images: Any) -> Any:
    inner = keras.Sequential([keras.Input((32, 32, 3)), layers.RandomFlip(), layers.Rescaling(1 / 255)])
    return keras.Sequential([keras.Input((32, 32, 3)), inner])(images)


def normalized(images: Any) -> Any:
    return layers.Normalization(mean=[0.5] * 3, variance=[0.06] * 3)(images)


def range_of(network: Any, given: Preprocessing | None = None) -> InputRange:
    """Return what is found without labelled pictures."""
    return find_range(fronts_of(network), given, None, None, lambda how: pytest.fail(f"measured {how}"))


SCALED = {
    "augmentation first": (lambda images: to_1(augmented(images)), "0-255"),
    "sizes first": (lambda images: signed(sized(images)), "0-255"),
    "in a nested model": (nested, "0-255"),
    "turned": (lambda images: signed(layers.Permute((2, 1, 3))(images)), "0-255"),
    "reshaped": (lambda images: to_1(layers.Reshape((16, 64, 3))(images)), "0-255"),
    "x / 255": (lambda images: images / 255, "0-255"),
    "x / 127.5 - 1": (lambda images: images / 127.5 - 1, "0-255"),
    "x * (1 / 128) - 1": (lambda images: ops.subtract(ops.multiply(images, 1 / 128), 1), "0-255"),
    "a cast, then x / 255": (lambda images: ops.cast(images, "float16") / 255, "0-255"),
    "ImageNet's mean and deviation": (apps.densenet.preprocess_input, "0-255"),
    "ImageNet's mean, blue first": (apps.resnet50.preprocess_input, "0-255"),
    "-1 to 1": (apps.mobilenet_v2.preprocess_input, "0-255"),
    "blue first": (lambda images: images[..., ::-1] / 255, "0-255"),
    "normalization": (lambda images: normalized(to_1(images)), "0-255"),
    "normalization of 0 to 1": (normalized, "0-1"),
    "grey": (lambda images: ops.mean(images, axis=-1, keepdims=True) / 255, "0-255"),
    "2 x - 1": (lambda images: images * 2 - 1, "0-1"),
    "x - 0.5": (lambda images: images - 0.5, "0-1"),
    "255 x": (lambda images: 255 * images, "0-1"),
    "(x + 1) * 127.5": (lambda images: (images + 1) * 127.5, "-1..1"),
}


@pytest.mark.parametrize("what", SCALED)
def test_the_range_follows_from_what_the_network_does(what: str) -> None:
    front, expected = SCALED[what]
    found = range_of(network(front))
    assert (found.preprocessing, found.basis) == (PREPROCESSINGS[expected], "network"), found
    assert "'conv2d" in found.note


UNKNOWN = {
    "nothing": lambda images: images,
    "only augmentation": lambda images: sized(augmented(images)),
    "blue first": lambda images: images[..., ::-1],
    "scaled twice": lambda images: images / 255 / 255,
    "not linear": ops.sqrt,
    "halved": lambda images: images / 2,
    "two branches that disagree": lambda images: layers.Concatenate()([layers.Conv2D(3, 1)(images), images / 255]),
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_a_range_that_does_not_follow_is_asked_for(what: str) -> None:
    with pytest.raises(InvalidRequest, match="value_range: ") as caught:
        range_of(network(UNKNOWN[what]))
    assert all(name in str(caught.value) for name in (*PREPROCESSINGS, "scale", "offset", "channels"))


def test_a_given_range_is_used_and_what_contradicts_it_is_said() -> None:
    given = PREPROCESSINGS["0-1"]
    assert range_of(network(lambda images: images), given).note == "Pixel values: 0 to 1, as given."
    found = range_of(network(lambda images: images / 255), given)
    assert (found.preprocessing, found.basis) == (given, "given")
    assert "suggests otherwise" in found.note and "0 to 255" in found.note


@pytest.mark.parametrize(
    ("mean", "deviation", "expected"),
    [(0.47, 0.25, "0-1"), (120, 64, "0-255"), (-0.06, 0.5, "-1..1"), (0, 1, None), (0.3, 0.25, None), (-20, 60, None)],
)
def test_a_first_batch_normalization_remembers_the_values(mean: float, deviation: float, expected: str | None) -> None:
    built = network(layers.BatchNormalization())
    normalization = next(layer for layer in built.layers if isinstance(layer, layers.BatchNormalization))
    normalization.moving_mean.assign([mean] * 3)
    normalization.moving_variance.assign([deviation**2] * 3)
    if expected is None:
        with pytest.raises(InvalidRequest, match="value_range"):
            range_of(built)
    else:
        found = range_of(built)
        assert (found.preprocessing, found.basis) == (PREPROCESSINGS[expected], "batch statistics")


CASES = {
    "aug_rescale.keras": ("0-255", "network", 0.4),
    "resize_rescale.keras": ("0-255", "network", 0.4),
    "preprocess_ops.keras": ("0-255", "network", 0.4),
    "k2_preprocess_tfop_v2tf212.h5": ("0-255", "network", 0),
    "plain01.keras": ("0-1", "measured", 0.4),
    "minus1to1.h5": ("-1..1", "measured", 0.4),
    "sigmoid10.keras": ("0-1", "measured", 0.35),
}


@pytest.mark.parametrize("name", CASES)
def test_networks_that_were_trained_are_as_accurate_as_in_keras(name: str) -> None:
    """On the 200 pictures of CIFAR-10 that ship with Darkroom. With a wrong range, they are right by chance."""
    network = load_network(MODELS / name)
    height, width = network.inputs[0].shape[1:3]
    pictures = labelled_pictures(CIFAR10_LABELS, height, width, None)
    assert pictures is not None
    found = find_range(fronts_of(network), None, None, pictures, measure_on(network, pictures))
    expected, basis, accuracy = CASES[name]
    assert (found.preprocessing, found.basis) == (PREPROCESSINGS[expected], basis), found
    assert measure_on(network, pictures)(found.preprocessing).mean() >= accuracy


def test_there_are_pictures_of_each_class(squares: Dataset) -> None:
    pictures = labelled_pictures(CIFAR10_LABELS, 48, 40, None)
    assert pictures is not None
    assert (pictures.x.shape, np.bincount(pictures.y).tolist()) == ((200, 48, 40, 3), [20] * 10)
    own = labelled_pictures(CIFAR10_LABELS, 32, 32, squares)
    assert own is not None
    np.testing.assert_array_equal(own.x, squares.x_val)
    assert labelled_pictures(("cat", "dog"), 32, 32, None) is None


def test_without_a_clear_winner_the_range_is_asked_for() -> None:
    untrained = network(lambda images: images)
    pictures = labelled_pictures(CIFAR10_LABELS, 32, 32, None)
    assert pictures is not None
    with pytest.raises(InvalidRequest, match=r"no choice is clearly the best.*0-1: \d+\.\d%"):
        find_range(fronts_of(untrained), None, None, pictures, measure_on(untrained, pictures))


def ending(*last: Any) -> keras.Model:
    """Return a network that ends with these layers."""
    first = [keras.Input((32, 32, 3)), layers.Rescaling(1 / 25), layers.GlobalAveragePooling2D()]
    return keras.Sequential([*first, *last])


def adapted(network: keras.Model, labels: tuple[str, ...] = CIFAR10_LABELS, loss: str = "null") -> tuple[Any, Any]:
    """Return what the scores are, and the scores of the adapted network for some images."""
    answers = try_network(network, PREPROCESSINGS["0-255"])
    scores = find_scores(last_activation(network), answers, labels, loss=loss)
    return scores, np.asarray(adapt_model(network, scores)(IMAGES))


def sigmoid(values: Any) -> Any:
    return 1 / (1 + np.exp(-np.asarray(values)))


@pytest.mark.parametrize(
    "last",
    [
        [layers.Dense(10, activation="sigmoid")],
        [layers.Dense(10), layers.Activation("sigmoid")],
        [layers.Dense(10, activation="sigmoid"), layers.Activation("linear"), layers.Identity()],
        [layers.Dense(10, activation="sigmoid"), layers.Reshape((2, 5)), layers.Flatten()],
        [keras.Sequential([layers.Dense(10, activation="sigmoid")])],
    ],
)
def test_sigmoids_are_scores_as_they_are(last: list[Any]) -> None:
    network = ending(*last)
    scores, answers = adapted(network)
    assert (scores.outputs, scores.added) == ("independent", "nothing")
    np.testing.assert_allclose(answers, network(IMAGES), atol=1e-6)
    assert "independent" in scores.note


def test_logits_get_the_function_that_the_loss_was_for() -> None:
    network = ending(layers.Dense(10))
    scores, answers = adapted(network)
    assert (scores.outputs, scores.added) == ("probabilities", "softmax")
    np.testing.assert_allclose(answers, ops.softmax(network(IMAGES)), atol=1e-6)
    scores, answers = adapted(network, loss='{"class_name": "BinaryCrossentropy", "config": {"from_logits": true}}')
    assert (scores.outputs, scores.added) == ("independent", "sigmoid")
    np.testing.assert_allclose(answers, sigmoid(network(IMAGES)), atol=1e-6)


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
@pytest.mark.parametrize("change", [lambda scores: scores * 100, lambda scores: 1 - scores, layers.Rescaling(2, -1)])
def test_scores_that_were_changed_are_neither_scores_nor_logits(activation: str, change: Callable[[Any], Any]) -> None:
    network = ending(layers.Dense(10, activation=activation))
    changed = keras.Model(network.inputs[0], change(network.outputs[0]))
    with pytest.raises(InvalidRequest, match=f"a {activation} that is multiplied or shifted"):
        adapted(changed)
    logits = ending(layers.Dense(10))
    scores, _ = adapted(keras.Model(logits.inputs[0], change(logits.outputs[0])))
    assert scores.added == "softmax"


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_one_output_is_the_score_of_the_second_label(activation: str | None) -> None:
    network = ending(layers.Dense(1, activation=activation))
    scores, answers = adapted(network, ("cat", "dog"))
    second = np.asarray(network(IMAGES)) if activation else sigmoid(network(IMAGES))
    np.testing.assert_allclose(answers, np.hstack([1 - second, second]), atol=1e-6)
    assert scores.outputs == "probabilities" and "'dog'" in scores.note


def test_the_file_with_one_sigmoid() -> None:
    network = load_network(MODELS / "sigmoid1.keras")
    for labels in (None, ("cat",), ("a", "b", "c")):
        with pytest.raises(InvalidRequest, match=r"labels: .* one output.* two labels, first that of the value 0"):
            check_shapes(network, labels)
    assert check_shapes(network, ("cat", "dog")) == ("cat", "dog")
    _, answers = adapted(network, ("cat", "dog"))
    second = np.asarray(network(IMAGES, training=False))
    np.testing.assert_allclose(answers, np.hstack([1 - second, second]), atol=1e-6)


@pytest.mark.parametrize("activation", ["softmax", "log_softmax"])
def test_probabilities_stay_or_are_made(activation: str) -> None:
    network = ending(layers.Dense(10, activation=activation))
    scores, answers = adapted(network)
    assert scores.outputs == "probabilities"
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(answers.argmax(axis=1), np.asarray(network(IMAGES)).argmax(axis=1))


@pytest.mark.parametrize("activation", ["relu", "tanh", "softplus"])
def test_other_activations_are_refused(activation: str) -> None:
    for outputs in (1, 10):
        with pytest.raises(InvalidRequest, match=f"last activation is {activation}"):
            adapted(ending(layers.Dense(outputs, activation=activation)), ("a", "b"))
