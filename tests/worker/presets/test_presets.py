"""The networks of the presets."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from shared.domain.card import OPENVINO_FILE
from shared.training.presets import PARAMS, FastParams, SeedParams, TrainingParams
from tests.worker.kit import PICTURES
from worker import hardware
from worker.presets import PRESETS, Setup
from worker.presets.fast import identity_filters
from worker.presets.whitening import EPSILON, channel_statistics, whitening_filters
from worker.serving import openvino_runtime
from worker.training.publish_trained import with_probabilities
from worker.training.steps import trainer

SETUP = Setup(0, 4, np.random.default_rng(1).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8), 10)
SMALL: dict[str, dict[str, Any]] = {
    "seed": {},
    "classic": {"width": 4},
    "fast": {"width1": 4, "width2": 8, "width3": 8},
    "wide": {"width1": 4, "width2": 8, "width3": 8},
    "distil": {"width1": 4, "width2": 8, "width3": 8},
}


def small(name: str, setup: Setup = SETUP) -> Any:
    return PRESETS[name].build(PARAMS[name](**SMALL[name]), setup)


def learn(model: Any, count: int = 1) -> tuple[float, float]:
    """Take `count` steps on one batch with one-hot targets, as a training does; return the mean loss and accuracy."""
    model.optimizer.build(model.trainable_variables)
    targets = np.eye(10, dtype=np.float32)[np.arange(len(SETUP.images)) % 10]
    return trainer(model)(np.stack([SETUP.images] * count), np.stack([targets] * count))


def test_the_presets_are_those_that_are_offered() -> None:
    networks = {name: params for name, params in PARAMS.items() if issubclass(params, TrainingParams)}
    del networks["finetune"]  # it does not start from nothing
    assert {name: type(preset.params) for name, preset in PRESETS.items()} == networks


def test_listing_the_presets_does_not_load_tensorflow() -> None:
    code = "import sys, worker.presets\nraise SystemExit(bool({'tensorflow', 'keras'} & set(sys.modules)))\n"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_the_network_has_the_stated_number_of_weights(name: str) -> None:
    assert PRESETS[name].build(PARAMS[name](), SETUP).count_params() == PARAMS[name].weights


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_network_returns_finite_logits_and_trains_on_one_hot_targets(name: str) -> None:
    model = small(name)
    assert model.input_shape == (None, 32, 32, 3)
    logits = keras.ops.convert_to_numpy(model(SETUP.images[:4]))
    assert (logits.shape, logits.dtype) == ((4, 10), np.float32)
    assert np.isfinite(logits).all()
    loss, accuracy = learn(model)
    assert math.isfinite(loss)
    assert 0 <= accuracy <= 1


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_the_seed_decides_the_first_weights(name: str) -> None:
    first, same = small(name).get_weights(), small(name).get_weights()
    other = small(name, Setup(1, 4, SETUP.images, 10)).get_weights()
    for one, two in zip(first, same, strict=True):
        np.testing.assert_array_equal(one, two)
    assert any(not np.array_equal(one, two) for one, two in zip(first, other, strict=True))


@pytest.mark.parametrize(
    ("changes", "side"), [({}, 30), ({"kernel_size": 5, "pool_size": 3}, 25), ({"kernel_size": 1, "pool_size": 1}, 32)]
)
def test_seed_crops_only_pixels_that_change_no_output(changes: dict[str, int], side: int) -> None:
    """The usual network computes with all pixels, and has each ReLU before its pooling."""
    layers, params = keras.layers, SeedParams(**changes)
    usual: list[Any] = [keras.Input((32, 32, 3)), layers.Rescaling(1 / 255)]
    for filters in (params.first_filters, params.second_filters):
        usual += [layers.Conv2D(filters, params.kernel_size, activation="relu"), layers.MaxPooling2D(params.pool_size)]
    whole = keras.Sequential([*usual, layers.Flatten(), layers.Dense(params.hidden_units, "relu"), layers.Dense(10)])
    model = PRESETS["seed"].build(params, SETUP)
    whole.set_weights(model.get_weights())
    assert model.layers[0].output.shape == (None, side, side, 3)
    answers = [keras.ops.convert_to_numpy(each(SETUP.images)) for each in (model, whole)]
    np.testing.assert_allclose(*answers, atol=1e-5)


def test_fast_has_the_layers_of_its_source() -> None:
    params = FastParams(width1=64, width2=256, width3=256, norm_momentum=0.6)
    model = PRESETS["fast"].build(params, SETUP)
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
    learn(model, 3)
    still = [
        variable.path
        for old, variable in zip(before, model.weights, strict=True)
        if np.array_equal(old, variable.numpy())
    ]
    assert still == ["fast/whitening/kernel"]

    kernels = [layer.kernel.numpy() for layer in model.layers if len(getattr(layer, "kernel", np.zeros(1)).shape) == 4]
    for kernel in kernels[1:]:
        assert np.linalg.norm(kernel) == pytest.approx(kernel.shape[-1] ** 0.5, rel=0.5)


def test_identity_filters_return_their_inputs() -> None:
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


@pytest.mark.parametrize(
    ("limit", "most"), [("50000 100000", 1), ("100000 100000", 1), ("max 100000", None), ("", None)]
)
def test_a_container_has_the_cores_of_its_limit(limit: str, most: int | None, tmp_path: Path) -> None:
    file = tmp_path / "cpu.max"
    usable = hardware.cores(file)
    file.write_text(limit)
    assert hardware.cores(file) == (most or usable)


@pytest.mark.parametrize("name", PRESETS)
def test_openvino_agrees_with_keras(name: str, tmp_path: Path) -> None:
    """With the sample pictures: the same class, and probabilities within 0.001."""
    images = np.stack([np.asarray(Image.open(file)) for file in sorted(PICTURES.glob("*.png"))])
    model = with_probabilities(small(name), 0.5)
    openvino_runtime.export(model, tmp_path / OPENVINO_FILE)
    answers = openvino_runtime.load(tmp_path / OPENVINO_FILE, 2)(images)
    expected = model.predict(images, verbose=0)
    np.testing.assert_array_equal(answers.argmax(axis=1), expected.argmax(axis=1))
    np.testing.assert_allclose(answers, expected, atol=1e-3)
