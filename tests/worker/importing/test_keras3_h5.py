"""Files of Keras 3 in the older format, `.h5`: what Keras itself cannot load, or loads with other answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests.models_kit import saved, small_app_of_keras_2, with_config
from tests.worker.importing.kit import refused
from worker.importing.import_keras import fronts_of, load_network

IMAGES = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)


def network(front: Callable[[Any], Any]) -> keras.Model:
    """Return a network that begins with `front` and ends with an operation, too."""
    images = keras.Input((32, 32, 3))
    convolved = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(front(images)))
    return keras.Model(images, ops.sigmoid(layers.Dense(10)(convolved)))


def assert_same_answers(built: keras.Model, file: Path) -> Any:
    loaded = load_network(saved(built, file))
    np.testing.assert_allclose(loaded(IMAGES), built(IMAGES), atol=1e-5)
    return loaded


def network_of_operations() -> keras.Model:
    images = keras.Input((32, 32, 3))
    return keras.Model(images, images / 255)


FRONTS: dict[str, Callable[[Any], Any]] = {
    "x / 127.5 - 1": lambda images: images / 127.5 - 1,
    "a cast": lambda images: ops.cast(images, "float16") / 255,
    "blue first": keras.applications.resnet50.preprocess_input,
    "layers of the same names": lambda images: layers.Add()([images / 510, layers.Rescaling(1 / 510)(images)]),
    "in a nested model": keras.Sequential([keras.Input((32, 32, 3)), network_of_operations()]),
}


@pytest.mark.parametrize("what", FRONTS)
def test_operations_are_loaded(tmp_path: Path, what: str) -> None:
    (front,) = fronts_of(assert_same_answers(network(FRONTS[what]), tmp_path / "model.h5"))
    assert front is not None and not front.is_unchanged


def test_a_nested_normalization_uses_the_mean_in_the_file(tmp_path: Path) -> None:
    """As in an EfficientNet. Keras loads the mean, but answers without it."""
    normalization = layers.Normalization()
    images = keras.Input((32, 32, 3))
    base = keras.Model(images, layers.Conv2D(4, 3)(normalization(images)))
    normalization.adapt_mean.assign([120, 110, 100])
    normalization.adapt_variance.assign([3600, 3000, 4000])
    normalization.finalize_state()
    assert_same_answers(
        keras.Sequential([keras.Input((32, 32, 3)), base, layers.Flatten(), layers.Dense(2)]), tmp_path / "model.h5"
    )


def test_a_lambda_of_keras_2_is_called_one(tmp_path: Path) -> None:
    config = {"name": "own", "function": ["4wE=", None, None], "function_type": "lambda", "arguments": {}}
    source = small_app_of_keras_2(tmp_path / "good.h5")
    file = with_config(
        source,
        tmp_path / "bad.h5",
        lambda model: model["config"]["layers"][1].update(class_name="Lambda", config=config),
    )
    assert "the layer 'own' is a Lambda layer" in refused(file)
