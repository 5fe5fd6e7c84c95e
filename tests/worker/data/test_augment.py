import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from worker.data import augment
from worker.data.augment import Augmentation, Batches, Prefetch

FULL = Augmentation(flip="alternate", translate=2, crop=0.5, brightness=0.1, contrast=0.2)


def noise(count: int, side: int = 8) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def batches(how: Augmentation, count: int = 10, size: int = 5, seed: int = 3) -> Batches:
    targets = np.eye(4, dtype=np.float32)[np.arange(count) % 4]
    return Batches(noise(count), targets, batch_size=size, seed=seed, augmentation=how)


def test_a_shift_moves_down_and_right_and_reflects_the_edge() -> None:
    image = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1)
    moved = augment.shift(image, np.array([[1, 2]]), 2)
    assert moved[0, :, :, 0].tolist() == [[6, 5, 4, 5], [2, 1, 0, 1], [6, 5, 4, 5], [10, 9, 8, 9]]


@given(st.integers(-2, 2), st.integers(-2, 2), st.integers(1, 5))
def test_each_image_has_its_own_shift(row: int, column: int, count: int) -> None:
    images, shifts = noise(count), np.zeros((count, 2), np.int64)
    shifts[-1] = row, column
    moved = augment.shift(images, shifts, 2)
    np.testing.assert_array_equal(moved[:-1], images[:-1])
    padded = np.pad(images[-1], ((2, 2), (2, 2), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(moved[-1], padded[2 - row : 10 - row, 2 - column : 10 - column])


def test_mirror_only_selected_images() -> None:
    images = noise(3)
    turned = augment.mirror(images, np.array([True, False, True]))
    np.testing.assert_array_equal(turned[1], images[1])
    np.testing.assert_array_equal(turned[0], images[0, :, ::-1])


def test_a_crop_is_enlarged_to_the_size_of_the_image() -> None:
    images = np.zeros((2, 4, 8, 3), np.uint8)
    images[:, :2, 4:] = 200
    boxes = np.array([[0, 0, 1, 1], [0.5, 0, 1, 0.5]])
    whole, part = augment.crop(images, boxes)
    np.testing.assert_array_equal(whole, images[0])
    assert part.shape == (4, 8, 3) and (part[:3, 1:] == 200).all()  # the others are mixed with their neighbours


@given(st.floats(0.1, 1), st.integers(0, 2**32))
def test_crops_lie_within_the_image_and_are_large_enough(smallest: float, seed: int) -> None:
    boxes = augment.crop_boxes(np.random.default_rng(seed).random((20, 4)), smallest)
    assert (boxes >= 0).all() and (boxes <= 1 + 1e-9).all()
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    assert (width * height >= smallest / augment.MAX_STRETCH - 1e-9).all()
    assert (width / height <= augment.MAX_STRETCH + 1e-9).all()


def test_light_is_brightness_then_contrast() -> None:
    light = np.array([[10, 1.5]], np.float32)
    assert (
        augment.adjust_light(np.full((1, 2, 2, 3), 90, np.uint8), light).tolist()
        == np.full((1, 2, 2, 3), 86.25).tolist()
    )


def test_an_epoch_has_every_image_once_with_its_label() -> None:
    source = batches(Augmentation())
    images, targets = (np.concatenate(parts) for parts in zip(*map(source.batch, range(2)), strict=True))
    originals = {image.tobytes(): index for index, image in enumerate(noise(10))}
    order = [originals[image.tobytes()] for image in images]
    assert sorted(order) == list(range(10))
    assert order != sorted(order)
    assert [int(target.argmax()) for target in targets] == [index % 4 for index in order]
    assert targets.sum(axis=1).tolist() == [1.0] * 10


def test_an_incomplete_batch_is_left_out() -> None:
    assert (batches(FULL, count=10, size=4).steps, batches(FULL, count=10, size=4).size) == (2, 4)
    assert (batches(FULL, count=10, size=40).steps, batches(FULL, count=10, size=40).size) == (1, 10)


@pytest.mark.parametrize("step", [0, 1, 2, 7])
def test_a_batch_can_be_made_again_in_any_order(step: int) -> None:
    straight = [batches(FULL).batch(place) for place in range(8)][step]
    alone = batches(FULL).batch(step)
    for one, other in zip(straight, alone, strict=True):
        np.testing.assert_array_equal(one, other)


def test_another_seed_gives_other_batches() -> None:
    assert not np.array_equal(batches(FULL, seed=1).batch(0)[0], batches(FULL, seed=2).batch(0)[0])


def mirrors(flip: str, epoch: int) -> NDArray[np.bool_]:
    return batches(Augmentation(flip=flip), count=400).draws(epoch).mirrored


def test_alternate_flip_mirrors_each_image_in_every_second_epoch() -> None:
    first, second, third = (mirrors("alternate", epoch) for epoch in range(3))
    assert 150 < first.sum() < 250
    np.testing.assert_array_equal(second, ~first)
    np.testing.assert_array_equal(third, first)


def test_random_flip_is_drawn_in_each_epoch() -> None:
    first, second = mirrors("random", 0), mirrors("random", 1)
    assert 150 < first.sum() < 250
    assert 100 < (first != second).sum() < 300
    assert not mirrors("none", 0).any()


def test_shifts_are_drawn_for_each_image_and_reach_both_ends() -> None:
    shifts = batches(FULL, count=400).draws(0).shifts
    assert {tuple(shift) for shift in shifts.tolist()} == {
        (row, column) for row in range(-2, 3) for column in range(-2, 3)
    }


def test_light_stays_within_bounds() -> None:
    light = batches(FULL, count=400).draws(0).light
    assert 20 < np.abs(light[:, 0]).max() <= 25.5
    assert 0.8 <= light[:, 1].min() < 0.85
    assert 1.15 < light[:, 1].max() <= 1.2


def test_images_are_uint8_unless_their_light_changes() -> None:
    assert batches(Augmentation("random", 2)).batch(0)[0].dtype == np.uint8
    assert batches(FULL).batch(0)[0].dtype == np.float32


def test_prefetch_yields_the_same_batches_and_ends_its_thread() -> None:
    source = batches(FULL)
    groups = [range(3, 5), range(5, 6)]
    ahead = Prefetch(source, groups)
    for group, (images, targets) in zip(groups, ahead, strict=True):
        for step, *batch in zip(group, images, targets, strict=True):
            for made, wanted in zip(batch, source.batch(step), strict=True):
                np.testing.assert_array_equal(made, wanted)
    assert ahead.making_s > 0
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("augment")]


def test_prefetch_raises_errors_of_its_thread() -> None:
    class Broken(Batches):
        def batch(self, step: int) -> Any:
            raise ZeroDivisionError(step)

    broken = Broken(noise(4), np.zeros((4, 1), np.float32), batch_size=2, seed=0, augmentation=FULL)
    with pytest.raises(ZeroDivisionError):
        list(Prefetch(broken, [range(2)]))


def test_without_groups_there_are_no_batches() -> None:
    assert list(Prefetch(batches(FULL), [])) == []
