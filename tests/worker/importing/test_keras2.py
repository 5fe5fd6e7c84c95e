"""Files of Keras 2: each answers as Keras 2 did, or says what it has that Keras 3 does not.

The models in `tests/fixtures/models` were made with tf_keras 2.21. The `.npz` files beside them hold pictures and its
answers: `y255` for values from 0 to 255, `y01` for values from 0 to 1.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from shared.domain.errors import InvalidRequest
from tests.conftest import ROOT
from tests.models_kit import small_app_answers, small_app_of_keras_2, with_config
from worker.importing.import_keras import load_network

MODELS = ROOT / "tests" / "fixtures" / "models"
#: Files of Keras 2 and their answers. The `relatives` have what others lack: slashes in names, a model that is called
#: twice, operations of TensorFlow, RandomCrop, hard_sigmoid, renormalization, attention, recurrent layers.
FILES = {
    "k2_func_nested_seq_v2tf215.h5": "k2_func_nested_seq.npz",
    "k2_layers_zoo_v2tf212.h5": "k2_layers_zoo.npz",
    "k2_mixed_float16_v2tf212.h5": "k2_mixed_float16.npz",
    "k2_preprocess_tfop_v2tf212.h5": "k2_preprocess_tfop.npz",
    "k2_relatives.h5": "k2_relatives_h5.npz",
    "k2_relatives.keras": "k2_relatives_keras.npz",
    "k2_teachable_v2tf212.h5": "k2_teachable.npz",
    "k2_teachable_v2tf215.h5": "k2_teachable.npz",
}
IMAGES = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)


def copied(name: str, folder: Path) -> Path:
    file = folder / name
    file.write_bytes((MODELS / name).read_bytes())
    return file


@pytest.mark.parametrize("name", FILES)
def test_a_file_answers_as_keras_2_did(tmp_path: Path, name: str) -> None:
    network, expected = load_network(copied(name, tmp_path)), np.load(MODELS / FILES[name])
    pixels = expected["x"].astype(np.float32)
    np.testing.assert_allclose(network(pixels, training=False), expected["y255"], atol=1e-4)
    np.testing.assert_allclose(network(pixels / 255, training=False), expected["y01"], atol=1e-4)


def small(tmp_path: Path, **changes: Any) -> Path:
    """Return a file of Keras 2 with other arguments of its first layer, a Conv2D."""
    source = small_app_of_keras_2(tmp_path / "good.h5")
    return with_config(
        source, tmp_path / "model.h5", lambda config: config["config"]["layers"][0]["config"].update(changes)
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"dtype": {"class_name": "Policy", "config": {"name": "float32"}}},
        {"dtype": {"class_name": "PolicyV1", "config": {"name": "float32", "loss_scale": None}}},
        {"dtype": {"module": "keras.mixed_precision", "class_name": "Policy", "config": {"name": "float32"}}},
        {"experimental_autocast": True, "dynamic": False, "ragged": False, "sparse": False, "input_dtype": None},
        {"kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": None, "dtype": "float32"}}},
        {"activation": {"class_name": "ReLU", "config": {"name": "r", "max_value": None, "threshold": 0.0}}},
        {"batch_input_shape": None, "batch_shape": [None, 32, 32, 3]},
    ],
)
def test_arguments_of_keras_2_change_no_answer(tmp_path: Path, changes: dict[str, Any]) -> None:
    answers = load_network(small(tmp_path, **changes))(IMAGES / np.float32(255))
    np.testing.assert_allclose(answers, small_app_answers(IMAGES), atol=1e-5)


@pytest.mark.parametrize("module", ["keras.layers", "keras.layers.convolutional", "tensorflow.python.keras.layers"])
def test_modules_of_keras_2_are_keras_own(tmp_path: Path, module: str) -> None:
    source = small_app_of_keras_2(tmp_path / "good.h5")
    new = {"module": module, "registered_name": None, "build_config": {"input_shape": [None, 32, 32, 3]}}
    file = with_config(source, tmp_path / "model.h5", lambda config: config["config"]["layers"][0].update(new))
    np.testing.assert_allclose(load_network(file)(IMAGES / np.float32(255)), small_app_answers(IMAGES), atol=1e-5)


def test_states_of_random_generators_are_no_weights(tmp_path: Path) -> None:
    """TensorFlow 2.8 and older save them in the group of an augmentation layer."""
    file = copied("k2_func_nested_seq_v2tf215.h5", tmp_path)
    with h5py.File(file, "r+") as content:
        group = content["model_weights/aug"]
        group["random_flip/StateVar:0"] = np.zeros(3, np.int64)
        group.attrs["weight_names"] = [b"random_flip/StateVar:0"]
    expected = np.load(MODELS / "k2_func_nested_seq.npz")
    np.testing.assert_allclose(
        load_network(file)(expected["x"].astype(np.float32), training=False), expected["y255"], atol=1e-4
    )


FOREIGN = [
    ({"class_name": "LocallyConnected2D"}, "is a LocallyConnected2D layer, which Keras 3 no longer has"),
    (
        {"class_name": "TFOpLambda", "config": {"name": "x", "function": "image.adjust_hue"}},
        "applies the TensorFlow operation 'image.adjust_hue', which Darkroom cannot convert",
    ),
    ({"class_name": "TensorFlowOpLayer", "config": {"name": "tf_op_layer_x"}}, "TensorFlow operation 'tf_op_layer_x'"),
    ({"module": "my.layers"}, "'my.layers.Conv2D', which is not Keras's own"),
    ({"registered_name": "mine>Conv2D"}, "('mine>Conv2D'), which is not Keras's own"),
    ({"class_name": "Mine>Conv2D"}, "'Mine>Conv2D', which is not Keras's own"),
]


@pytest.mark.parametrize(("entries", "reason"), FOREIGN)
def test_what_keras_3_cannot_load_is_named(tmp_path: Path, entries: dict[str, Any], reason: str) -> None:
    source = small_app_of_keras_2(tmp_path / "good.h5")
    file = with_config(source, tmp_path / "bad.h5", lambda config: config["config"]["layers"][0].update(entries))
    with pytest.raises(InvalidRequest) as caught:
        load_network(file)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"shared_filters": 2}, "has shared_filters=2, which Conv2D of Keras 3 no longer has"),
        ({"kernel_size": "many"}, "Keras cannot load the model"),
    ],
)
def test_an_argument_that_keras_3_does_not_have_is_named(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        load_network(small(tmp_path, **changes))
    assert reason in str(caught.value)


def test_hard_sigmoid_needs_a_file_that_can_be_converted(tmp_path: Path) -> None:
    """Keras 3's hard sigmoid is another function; in a `.keras` file, the weights follow the layers' places."""

    def change(config: dict[str, Any]) -> None:
        text = json.dumps(config).replace('"gelu"', '"hard_sigmoid"')
        config.update(json.loads(text))

    file = with_config(MODELS / "k2_relatives.keras", tmp_path / "model.keras", change)
    with pytest.raises(InvalidRequest, match=r"'hard_sigmoid'.*as a \.h5 file"):
        load_network(file)
