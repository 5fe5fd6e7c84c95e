"""Batches of training images, each image varied by draws of its own.

Every draw follows from the seed, the epoch and the image's place, never from what was drawn before. So a batch can be
made again, in any order and on any thread, and the random state of a training is its seed and its step.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: The value that a stretch of the contrast leaves as it is: between black and white.
GREY = 127.5

#: Names of the independent streams of random numbers that one seed gives.
MIRROR, EPOCH = 1, 2

Images = NDArray[Any]
#: Images and one-hot targets of one step, or of a group of steps, one after the other along the first axis.
Batch = tuple[Images, NDArray[np.float32]]


@dataclass(frozen=True)
class Augmentation:
    """How training images are varied; by default not at all.

    `flip`: `random` mirrors half of the images, drawn anew in each epoch; `alternate` draws once, and turns all of them
    in every other epoch (K. Jordan, arXiv:2404.00498, section 3.6). `translate`: greatest shift along each axis in
    pixels. `brightness`, `contrast`: greatest shift and stretch, as shares of the value range and of 1.
    """

    flip: str = "none"
    translate: int = 0
    brightness: float = 0.0
    contrast: float = 0.0


@dataclass(frozen=True, eq=False)
class Draws:
    """What one epoch drew: the order of the images, and by image whether it is mirrored, its shift and its light."""

    order: NDArray[np.int64]
    mirrored: NDArray[np.bool_]
    shifts: NDArray[np.int64]
    light: NDArray[np.float32]


def mirrored(images: Images, which: NDArray[np.bool_]) -> Images:
    """Return images (n, height, width, channels), those of which `which` (n,) is true turned left to right."""
    if not which.any():
        return images
    turned = images.copy()
    turned[which] = images[which, :, ::-1]
    return turned


def shifted(images: Images, shifts: NDArray[np.int64], greatest: int) -> Images:
    """Return images moved by their row and column of `shifts` (n, 2), each within ±`greatest`.

    What comes in from outside is the image mirrored at its edge, the edge itself not repeated.
    """
    if greatest == 0:
        return images
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (greatest, greatest), (greatest, greatest), (0, 0)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))
    rows, columns = (greatest - shifts).T
    return np.moveaxis(windows[np.arange(len(images)), rows, columns], 1, -1)


def lit(images: Images, light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return images made lighter and stretched about GREY, as float32, by `light` (n, 2): shift in values, and stretch.

    Values may leave 0 to 255.
    """
    shift, stretch = light.T[:, :, None, None, None]
    varied: NDArray[np.float32] = (images + shift - np.float32(GREY)) * stretch + np.float32(GREY)
    return varied


class Batches:
    """The batches of every epoch: images (batch, height, width, channels) and one-hot targets (batch, classes).

    Images that fill no whole batch are left out, others in each epoch. Batches are no larger than there are images.
    """

    def __init__(
        self, images: Images, truth: NDArray[Any], *, classes: int, batch_size: int, seed: int, how: Augmentation
    ) -> None:
        self._images, self._truth, self._seed, self._how = images, truth, seed, how
        self._one_hot = np.eye(classes, dtype=np.float32)
        self.size = min(batch_size, len(images))
        self.steps = len(images) // self.size
        self.draws = lru_cache(maxsize=1)(self._draws)

    def batch(self, step: int) -> Batch:
        """Return the batch of a step, counted from 0 over the whole training."""
        epoch, index = divmod(step, self.steps)
        draws = self.draws(epoch)
        rows = draws.order[index * self.size : (index + 1) * self.size]
        images = shifted(self._images[rows], draws.shifts[rows], self._how.translate)
        images = mirrored(images, draws.mirrored[rows])
        if self._how.brightness or self._how.contrast:
            images = lit(images, draws.light[rows])
        return images, self._one_hot[self._truth[rows]]

    def group(self, steps: range) -> Batch:
        """Return the batches of several steps, stacked along a new first axis."""
        images, targets = zip(*map(self.batch, steps), strict=True)
        return np.stack(images), np.stack(targets)

    def _draws(self, epoch: int) -> Draws:
        generator, count = np.random.default_rng((self._seed, EPOCH, epoch)), len(self._images)
        how = self._how
        return Draws(
            order=generator.permutation(count),
            shifts=generator.integers(-how.translate, how.translate, (count, 2), endpoint=True),
            light=self._light(generator.uniform(-1, 1, (count, 2))),
            mirrored=self._mirrored(epoch, generator.random(count) < 0.5),
        )

    def _light(self, drawn: NDArray[np.float64]) -> NDArray[np.float32]:
        shift, stretch = 255 * self._how.brightness * drawn[:, 0], 1 + self._how.contrast * drawn[:, 1]
        return np.stack([shift, stretch], axis=1).astype(np.float32)

    def _mirrored(self, epoch: int, drawn: NDArray[np.bool_]) -> NDArray[np.bool_]:
        if self._how.flip == "none":
            return np.zeros(len(drawn), np.bool_)
        if self._how.flip == "random":
            return drawn
        first = np.random.default_rng((self._seed, MIRROR)).random(len(drawn)) < 0.5
        return first if epoch % 2 == 0 else ~first


class Prefetch:
    """The batches of groups of steps, each group made in a thread of its own while the one before it is trained on.

    `making_s` is how many seconds the thread worked, `waiting_s` how many of them the training waited for it.
    """

    def __init__(self, batches: Batches, groups: Sequence[range]) -> None:
        self._batches, self._groups = batches, groups
        self.making_s = self.waiting_s = 0.0

    def __iter__(self) -> Generator[Batch]:
        with ThreadPoolExecutor(1, thread_name_prefix="augment") as pool:
            groups = iter(self._groups)
            ahead = deque(pool.submit(self._make, group) for group in islice(groups, 1))
            while ahead:
                began = time.perf_counter()
                batch = ahead.popleft().result()
                self.waiting_s += time.perf_counter() - began
                ahead.extend(pool.submit(self._make, group) for group in islice(groups, 1))
                yield batch

    def _make(self, steps: range) -> Batch:
        began = time.perf_counter()
        batch = self._batches.group(steps)
        self.making_s += time.perf_counter() - began
        return batch
