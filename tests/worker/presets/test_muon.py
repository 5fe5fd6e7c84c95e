import itertools
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from worker.presets.muon import Group, Muon, orthogonal


def random(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(2).normal(size=shape).astype(np.float32)


def variable(value: NDArray[np.float32], name: str) -> Any:
    return keras.Variable(value, name=name)


@pytest.mark.parametrize("shape", [(36, 8), (8, 36), (8, 8)])
def test_five_iterations_bring_all_singular_values_near_one(shape: tuple[int, int]) -> None:
    values = np.linalg.svd(np.array(orthogonal(random(*shape), 5)), compute_uv=False)
    assert 0.3 < values.min() <= values.max() < 1.3


def test_directions_are_kept() -> None:
    left, _, right = np.linalg.svd(random(12, 4), full_matrices=False)
    matrix = (left * np.array([4, 3, 2, 1.5])) @ right
    nearest = np.array(orthogonal(matrix.astype(np.float32), 5))
    inner = left.T @ nearest @ right.T
    np.testing.assert_allclose(inner, np.diag(np.diag(inner)), atol=1e-4)


def test_the_scale_of_a_gradient_does_not_matter() -> None:
    np.testing.assert_allclose(orthogonal(random(9, 4) * 1e4, 3), orthogonal(random(9, 4), 3), atol=1e-5)


def test_a_gradient_of_zeros_stays_zero() -> None:
    assert not np.array(orthogonal(np.zeros((6, 3), np.float32), 3)).any()


def test_a_step_on_a_kernel_by_hand() -> None:
    start, gradients = random(3, 3, 2, 4), [random(3, 3, 2, 4), -2 * random(3, 3, 2, 4)[::-1]]
    kernel = variable(start, "kernel")
    optimizer = Muon(0.1, momentum=0.6, steps=3)
    expected, momentum = start, np.zeros_like(start)
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [kernel])
        momentum = 0.6 * momentum + gradient
        update = np.array(orthogonal((gradient + 0.6 * momentum).reshape(18, 4), 3)).reshape(start.shape)
        expected = expected * 2 / np.linalg.norm(expected) - 0.1 * update
    np.testing.assert_allclose(kernel.numpy(), expected, atol=1e-5)


def test_a_group_steps_as_sgd_with_nesterov_momentum_and_decay() -> None:
    start, gradient = random(5), random(5)[::-1].copy()
    bias = variable(start, "whitening_bias")
    optimizer = Muon(0.24, groups=[Group("whitening", 0.5, 0.9, weight_decay=0.01)], batch_size=2)
    expected, momentum = start, np.zeros(5)
    for _ in range(3):
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [bias])
        pulled = 2 * gradient + 0.02 * expected
        momentum = 0.9 * momentum + pulled
        expected = expected - 0.5 * (pulled + 0.9 * momentum)
    np.testing.assert_allclose(bias.numpy(), expected, rtol=1e-5)


def moved(optimizer: Muon, target: Any, steps: int) -> list[float]:
    """Return how far the first value of `target` moves in each step along a gradient of one."""
    places = [float(target.numpy()[0])]
    for _ in range(steps):
        optimizer.apply([keras.ops.ones(target.shape)], [target])
        places.append(float(target.numpy()[0]))
    return [before - after for before, after in itertools.pairwise(places)]


def test_groups_follow_the_schedule_or_end_on_their_own() -> None:
    schedule = keras.optimizers.schedules.PolynomialDecay(0.2, 4, 0.0)
    follows = moved(Muon(schedule, groups=[Group("b", 0.8, 0.0)]), variable(np.zeros(1, np.float32), "b"), 4)
    ends = moved(Muon(schedule, groups=[Group("b", 0.8, 0.0, steps=2)]), variable(np.zeros(1, np.float32), "b"), 4)
    assert follows == pytest.approx([0.8, 0.6, 0.4, 0.2])
    assert ends == pytest.approx([0.8, 0.4, 0, 0])


def test_a_variable_without_a_group_is_named() -> None:
    with pytest.raises(ValueError, match="lost is not a convolution"):
        Muon(0.1, groups=[Group("head", 1, 0)]).build([variable(np.zeros(3, np.float32), "lost")])


def test_the_configuration_recreates_the_optimizer() -> None:
    config = Muon(0.1, 0.5, 2, groups=[Group("head", 1, 0.9, 0.01, 5)], batch_size=7).get_config()
    assert Muon.from_config(config).get_config() == config
