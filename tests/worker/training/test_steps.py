"""A step in parts is a step of the whole batch, for the presets of which that can be said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

from worker import hardware
from worker.presets import PRESETS, Preset, Setup
from worker.training import steps

IMAGES = np.random.default_rng(1).integers(0, 256, (4, 32, 32, 32, 3), dtype=np.uint8)
TARGETS = np.eye(10, dtype=np.float32)[np.random.default_rng(2).integers(0, 10, (4, 32))]
SEED = PRESETS["seed"]


def after_four_steps(parts: int) -> tuple[list[Any], tuple[float, float]]:
    """The weights, and loss and accuracy."""
    model = SEED.build(SEED.params, Setup(0, 4, IMAGES[0], 10))
    model.optimizer.build(model.trainable_variables)
    answer = steps.trainer(model, parts)(IMAGES, TARGETS)
    return model.get_weights(), answer


@pytest.mark.parametrize("parts", [2, 4])
def test_parts_change_nothing_but_rounding(parts: int) -> None:
    (whole, answer), (apart, other) = after_four_steps(1), after_four_steps(parts)
    assert other == pytest.approx(answer, abs=1e-4)
    for first, second in zip(whole, apart, strict=True):
        np.testing.assert_allclose(second, first, atol=2e-4)


def test_the_same_parts_give_the_same_weights() -> None:
    first, second = after_four_steps(2)[0], after_four_steps(2)[0]
    assert all(np.array_equal(*both) for both in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("cores", "batch_size", "parts"),
    [(1, 32, 1), (2, 32, 2), (2, 33, 1), (2, 31, 1), (2, 16, 1), (3, 96, 3), (3, 64, 2), (64, 32, 2), (64, 256, 16)],
)
def test_a_batch_has_equal_parts_of_enough_images(
    cores: int, batch_size: int, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "cores", lambda: cores)
    assert steps.parts(SEED, batch_size) == parts
    assert steps.parts(replace(SEED, divisible=False), batch_size) == 1


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_no_layer_of_a_divisible_preset_looks_at_the_batch_or_draws(preset: Preset[Any]) -> None:
    model = preset.build(preset.params, Setup(0, 4, IMAGES[0], 10))
    kinds = (keras.layers.BatchNormalization, keras.layers.Dropout)
    assert preset.divisible == (not any(isinstance(layer, kinds) for layer in model.layers))


def test_to_share_the_cores_too_late_does_no_harm() -> None:
    keras.ops.ones(1)
    steps.share_cores(2)
