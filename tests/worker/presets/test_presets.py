import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from shared.domain.card import OPENVINO_FILE
from shared.domain.errors import Fault, InvalidRequest
from shared.training.preset_catalog import resolve
from tests.worker.kit import PICTURES
from worker import hardware, presets
from worker.presets import PRESETS, Setup
from worker.presets.fast import identity_filters
from worker.presets.whitening import EPSILON, channel_statistics, whitening_filters
from worker.serving import openvino_runtime
from worker.training.publish_trained import answering

SETUP = Setup(0, 4, np.random.default_rng(1).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8), 10)
SMALL: dict[str, dict[str, Any]] = {
    "seed": {},
    "classic": {"width": 4},
    "fast": {"width1": 4, "width2": 8, "width3": 8},
    "wide": {"width1": 4, "width2": 8, "width3": 8},
}


def small(name: str, setup: Setup = SETUP) -> Any:
    preset = presets.get(name)
    return preset.build(preset.params.changed(**SMALL[name]), setup)


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(InvalidRequest, match=r"no preset 'sead'; the presets are classic, fast, seed, wide"):
        presets.get("sead")


def test_listing_the_presets_does_not_load_tensorflow() -> None:
    code = (
        "import sys\n"
        "from worker.presets import PRESETS\n"
        "from worker import announce, presets\n"
        "print([announce.describe(preset, announce.machine_speed()) for preset in PRESETS.values()])\n"
        "presets.from_params({'preset': 'fast', 'epochs': 2, 'seed': 5})\n"
        "raise SystemExit(bool({'tensorflow', 'keras'} & set(sys.modules)))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_every_parameter_is_listed_with_its_default_and_range(preset: presets.Preset[Any]) -> None:
    listed = json.loads(json.dumps({name: one.as_dict() for name, one in preset.parameters().items()}))
    assert listed.keys() == preset.params.as_dict().keys() | {"seed"}
    assert {"epochs", "batch_size", "learning_rate", "augment", "label_smoothing", "seed"} <= listed.keys()
    for name, parameter in listed.items():
        assert parameter["description"], name
        if parameter["type"] in {"integer", "number"}:
            assert parameter["minimum"] <= parameter["default"] <= parameter["maximum"], name
        else:
            assert parameter["default"] in parameter.get("enum", [True, False]), name
    assert preset.plan({name: parameter["default"] for name, parameter in listed.items()}) == (preset.params, 0)


def test_a_parameter_as_it_is_listed() -> None:
    assert presets.get("fast").parameters()["batch_size"].as_dict() == {
        "default": 1536,
        "type": "integer",
        "minimum": 1,
        "maximum": 10_000,
        "unit": "images",
        "description": "images per gradient step",
    }


def test_a_plan_takes_what_is_given_and_leaves_the_rest() -> None:
    params, seed = presets.get("fast").plan({"epochs": 3.0, "learning_rate": 1, "augment": False, "seed": 2**32 - 1})
    assert (params.epochs, params.learning_rate, params.augment, seed) == (3, 1.0, False, 2**32 - 1)
    assert [type(value) for value in (params.epochs, params.learning_rate)] == [int, float]
    assert params.batch_size == 1536


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("epochs", 0, "should be a whole number from 1 to 1000, not 0"),
        ("epochs", 1.5, "should be a whole number from 1 to 1000, not 1.5"),
        ("epochs", True, "should be a whole number from 1 to 1000, not true"),
        ("epochs", "8", 'should be a whole number from 1 to 1000, not "8"'),
        ("epochs", None, "should be a whole number from 1 to 1000, not null"),
        pytest.param("epochs", 10**400, "should be a whole number from 1 to 1000, not 1", id="huge"),
        ("learning_rate", math.nan, "should be a number from 1e-06 to 10, not NaN"),
        ("learning_rate", math.inf, "should be a number from 1e-06 to 10, not Infinity"),
        ("learning_rate", -1, "should be a number from 1e-06 to 10, not -1"),
        ("label_smoothing", 1, "should be a number from 0 to 0.9, not 1"),
        ("augment", 1, "should be true or false, not 1"),
        ("flip", "up", 'should be one of none, random, alternate, not "up"'),
        ("flip", ["none"], 'should be one of none, random, alternate, not ["none"]'),
        ("seed", -1, "should be a whole number from 0 to 4294967295, not -1"),
        ("colour", "red", "is no parameter of preset fast"),
    ],
)
def test_what_is_wrong_is_named_with_the_allowed_range(name: str, value: object, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        presets.get("fast").plan({name: value})
    (fault,) = caught.value.faults
    assert fault.pointer == f"/params/{name}"
    assert fault.detail.startswith(sentence)
    assert str(caught.value).startswith(f"{name} {sentence}")


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(InvalidRequest, match=r"seed should be .*; colour is no .*; epochs .*\.$") as caught:
        presets.get("seed").plan({"seed": "x", "colour": 1, "epochs": -1}, "")
    assert [fault.pointer for fault in caught.value.faults] == ["seed", "colour", "epochs"]


def test_parameters_cannot_be_made_out_of_range() -> None:
    with pytest.raises(InvalidRequest, match="epochs should be a whole number") as caught:
        presets.get("seed").params.changed(epochs=0)
    assert caught.value.faults == (Fault("epochs", "should be a whole number from 1 to 1000, not 0"),)


def test_a_jobs_params_name_preset_hyperparameters_and_seed() -> None:
    preset, params, seed = presets.from_params(
        {"preset": "seed", "epochs": 3, "seed": 7, "base": None, "promote": "never"}
    )
    assert (preset, params, seed) == (presets.get("seed"), preset.params.changed(epochs=3), 7)
    every = resolve({"seed": preset.parameters()}, {"preset": "seed", "hidden_units": 5, "seed": 1})
    assert presets.from_params(every) == (preset, preset.params.changed(hidden_units=5), 1)
    assert presets.from_params({}) == (presets.get("fast"), presets.get("fast").params, 0)


def test_a_jobs_params_are_checked_again() -> None:
    wrong = {"dataset": "mnist", "epochs": 0, "newer_option": 1}
    with pytest.raises(InvalidRequest) as caught:
        presets.from_params({"preset": "seed", **wrong})
    assert [fault.pointer for fault in caught.value.faults] == [f"/params/{name}" for name in wrong]
    with pytest.raises(InvalidRequest, match="preset should be one of seed, classic, fast, wide, not"):
        presets.from_params({"preset": "newer"})


json_values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.integers(), max_size=2)
)


@given(st.sampled_from(sorted(PRESETS)), st.data())
def test_any_value_is_taken_or_refused_by_name(name: str, data: st.DataObject) -> None:
    preset = presets.get(name)
    given_ = data.draw(st.dictionaries(st.sampled_from([*preset.parameters(), "other"]), json_values, max_size=4))
    try:
        params, seed = preset.plan(given_)
    except InvalidRequest as error:
        assert {fault.pointer.removeprefix("/params/") for fault in error.faults} <= given_.keys()
        assert error.faults
    else:
        assert params.as_dict() | {"seed": seed} == preset.params.as_dict() | {"seed": 0} | given_


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_network_gives_finite_logits_and_learns_one_hot_targets(name: str) -> None:
    model = small(name)
    assert model.input_shape == (None, 32, 32, 3)
    logits = keras.ops.convert_to_numpy(model(SETUP.images[:4]))
    assert (logits.shape, logits.dtype) == ((4, 10), np.float32)
    assert np.isfinite(logits).all()
    means = model.train_on_batch(SETUP.images, np.eye(10)[np.arange(40) % 10], return_dict=True)
    assert {"loss", "accuracy"} <= means.keys()


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_the_seed_decides_the_first_weights(name: str) -> None:
    first, same = small(name).get_weights(), small(name).get_weights()
    other = small(name, Setup(1, 4, SETUP.images, 10)).get_weights()
    for one, two in zip(first, same, strict=True):
        np.testing.assert_array_equal(one, two)
    assert any(not np.array_equal(one, two) for one, two in zip(first, other, strict=True))


def operations(layer: Any) -> int:
    """What a layer of the built network takes for one image: two for each product, at each place of its output."""
    if not hasattr(layer, "kernel"):
        return 0
    return 2 * math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:-1])


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        *((name, {}) for name in sorted(PRESETS)),
        ("seed", {"first_filters": 5, "second_filters": 7, "kernel_size": 5, "pool_size": 3, "hidden_units": 9}),
        ("seed", {"kernel_size": 1, "pool_size": 1, "second_filters": 3}),
        ("classic", {"width": 6}),
        ("fast", {"width1": 5, "width2": 7, "width3": 9}),
        ("wide", {"width1": 4, "width2": 9, "width3": 6}),
    ],
)
def test_size_and_operations_are_those_of_the_built_network(name: str, changes: dict[str, Any]) -> None:
    preset = presets.get(name)
    params = preset.params.changed(**changes)
    model = preset.build(params, SETUP)
    assert preset.size(params) == model.count_params()
    assert preset.flops(params) == sum(map(operations, model.layers))


@pytest.mark.parametrize(
    ("changes", "side"), [({}, 30), ({"kernel_size": 5, "pool_size": 3}, 25), ({"kernel_size": 1, "pool_size": 1}, 32)]
)
def test_seed_leaves_out_only_what_reaches_no_answer(changes: dict[str, int], side: int) -> None:
    """As the network is usually written, all pixels are computed with, and each ReLU comes before its pooling."""
    layers, params = keras.layers, presets.get("seed").params.changed(**changes)
    usual: list[Any] = [keras.Input((32, 32, 3)), layers.Rescaling(1 / 255)]
    for filters in (params.first_filters, params.second_filters):
        usual += [layers.Conv2D(filters, params.kernel_size, activation="relu"), layers.MaxPooling2D(params.pool_size)]
    whole = keras.Sequential([*usual, layers.Flatten(), layers.Dense(params.hidden_units, "relu"), layers.Dense(10)])
    model = presets.get("seed").build(params, SETUP)
    whole.set_weights(model.get_weights())
    assert model.layers[0].output.shape == (None, side, side, 3)
    answers = [keras.ops.convert_to_numpy(each(SETUP.images)) for each in (model, whole)]
    np.testing.assert_allclose(*answers, atol=1e-5)


def test_fast_is_the_network_of_its_source() -> None:
    params = presets.get("fast").params.changed(width1=64, width2=256, width3=256, norm_momentum=0.6)
    model = presets.get("fast").build(params, SETUP)
    shapes = [layer.kernel.shape for layer in model.layers if hasattr(layer, "kernel")]
    blocks = [(3, 3, 24, 64), (3, 3, 64, 64), (3, 3, 64, 256), (3, 3, 256, 256), (3, 3, 256, 256), (3, 3, 256, 256)]
    assert shapes == [(2, 2, 3, 24), *blocks, (256, 10)]
    filters = sum(math.prod(shape) for shape in shapes)
    assert filters == 1_970_464  # 1.97 M
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {(norm.scale, norm.center, norm.epsilon, norm.momentum) for norm in norms} == {(False, True, 1e-12, 0.6)}


def test_fast_trains_all_but_the_whitening_filters_and_keeps_filters_near_their_norm() -> None:
    model = small("fast")
    before = [variable.numpy() for variable in model.weights]
    for _ in range(3):
        model.train_on_batch(SETUP.images, np.eye(10)[np.arange(40) % 10])
    still = [
        variable.path
        for old, variable in zip(before, model.weights, strict=True)
        if np.array_equal(old, variable.numpy())
    ]
    assert still == ["fast/whitening/kernel"]

    kernels = [layer.kernel.numpy() for layer in model.layers if len(getattr(layer, "kernel", np.zeros(1)).shape) == 4]
    for kernel in kernels[1:]:
        assert np.linalg.norm(kernel) == pytest.approx(kernel.shape[-1] ** 0.5, rel=0.5)


def test_identity_filters_pass_their_inputs_on() -> None:
    kernel = identity_filters(np.random.default_rng(0), (3, 3, 4, 6))
    image = np.random.default_rng(1).normal(size=(1, 5, 5, 4)).astype(np.float32)
    np.testing.assert_allclose(keras.ops.conv(image, kernel, padding="same")[..., :4], image, atol=1e-6)
    assert 0 < np.abs(kernel[..., 4:]).max() <= 1 / 6
    assert identity_filters(np.random.default_rng(0), (3, 3, 6, 4))[1, 1].tolist() == np.eye(6, 4).tolist()


def test_whitened_patches_are_uncorrelated_and_of_variance_one() -> None:
    generator = np.random.default_rng(3)
    smooth = generator.normal(size=(600, 9, 9, 3)).cumsum(axis=1).cumsum(axis=2)
    images = np.clip(128 + 12 * smooth, 0, 255).astype(np.uint8)
    kernel = whitening_filters(images, 2)
    mean, deviation = channel_statistics(images)
    answers = np.array(keras.ops.conv((images - np.array(mean)) / np.array(deviation), kernel.astype(float)))
    np.testing.assert_allclose(answers[..., 12:], -answers[..., :12], atol=1e-5)
    flat = answers[..., :12].reshape(-1, 12)
    moment = flat.T @ flat / len(flat)
    np.testing.assert_allclose(moment - np.diag(np.diag(moment)), 0, atol=1e-3)
    assert 1 / (1 + EPSILON / 1e-3) < np.diag(moment).min() <= np.diag(moment).max() <= 1 + 1e-4


@pytest.mark.parametrize(
    ("flags", "wanted", "expected"),
    [
        ("fma avx512f avx512_bf16 amx_bf16", "auto", "mixed_bfloat16"),
        ("fma avx512f avx512_bf16", "auto", "float32"),
        ("fma", "auto", "float32"),
        ("fma", "bfloat16", "mixed_bfloat16"),
        ("amx_bf16", "float32", "float32"),
    ],
)
def test_precision_follows_the_processor(flags: str, wanted: str, expected: str, tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nmodel name\t: Some CPU: fast\nflags\t\t: {flags}\n\nprocessor\t: 1\n")
    assert hardware.cpu_name(cpuinfo) == "Some CPU: fast"
    if hardware.gpu_name() is None:
        assert hardware.precision(wanted, cpuinfo) == expected


def test_hardware_without_cpuinfo(tmp_path: Path) -> None:
    assert hardware.cpu_name(tmp_path / "nowhere")
    assert hardware.cores() >= 1


@pytest.mark.parametrize("name", PRESETS)
def test_openvino_answers_as_keras_does(name: str, tmp_path: Path) -> None:
    """With the sample pictures: the same class, and probabilities within 0.001."""
    images = np.stack([np.asarray(Image.open(file)) for file in sorted(PICTURES.glob("*.png"))])
    model = answering(small(name), 0.5)
    openvino_runtime.export(model, tmp_path / OPENVINO_FILE)
    answers = openvino_runtime.load(tmp_path / OPENVINO_FILE, 2)(images)
    expected = model.predict(images, verbose=0)
    np.testing.assert_array_equal(answers.argmax(axis=1), expected.argmax(axis=1))
    np.testing.assert_allclose(answers, expected, atol=1e-3)
