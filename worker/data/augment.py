"""Batches of augmented training images.

Random draws depend only on the seed, the epoch and the index of the image. So batches can be made again, in any order
and on any thread, and the random state of a training is its seed and its step.
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
from PIL import Image

#: The value that a change of contrast does not alter: halfway between black and white.
GREY = 127.5

#: Largest ratio of the width to the height of a crop.
MAX_STRETCH = 4 / 3

#: Independent streams of random numbers for one seed.
MIRROR, EPOCH = 1, 2

Images = NDArray[Any]
#: Images and targets of one step, or of a group of steps stacked along a first axis.
Batch = tuple[Images, NDArray[np.float32]]


@dataclass(frozen=True)
class Augmentation:
    """How training images are augmented; not at all by default.

    `flip`: `random` mirrors half of the images, drawn in each epoch; `alternate` draws once and mirrors the others in
    every second epoch (K. Jordan, arXiv:2404.00498, section 3.6). `translate`: largest shift along each axis in pixels.
    `crop`: smallest share of an image that is cut out and enlarged to its size, with its shape changed a little.
    `brightness`: largest shift of the values as a fraction of their range; `contrast`: largest relative change.
    """

    flip: str = "none"
    translate: int = 0
    crop: float = 1.0
    brightness: float = 0.0
    contrast: float = 0.0


@dataclass(frozen=True, eq=False)
class Draws:
    """Random draws of one epoch: the order of the images, and for each its mirroring, shift, light and crop."""

    order: NDArray[np.int64]
    mirrored: NDArray[np.bool_]
    shifts: NDArray[np.int64]
    light: NDArray[np.float32]
    crops: NDArray[np.float64]


def mirror(images: Images, which: NDArray[np.bool_]) -> Images:
    """Return images (n, height, width, channels), mirrored left to right if `which` (n,) is true."""
    if not which.any():
        return images
    turned = images.copy()
    turned[which] = images[which, :, ::-1]
    return turned


def shift(images: Images, shifts: NDArray[np.int64], largest: int) -> Images:
    """Return images moved by the rows and columns in `shifts` (n, 2), each within ±`largest`.

    Pixels from outside are reflected at the edge, without repeating the edge itself.
    """
    if largest == 0:
        return images
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (largest, largest), (largest, largest), (0, 0)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))
    rows, columns = (largest - shifts).T
    return np.moveaxis(windows[np.arange(len(images)), rows, columns], 1, -1)


def crop(images: Images, boxes: NDArray[np.float64]) -> Images:
    """Return the parts of uint8 images in `boxes` (n, 4), enlarged to the size of the images.

    A box is left, top, right and bottom, as shares of the width and the height.
    """
    height, width = images.shape[1:3]
    edges = (boxes * (width, height, width, height)).tolist()
    parts = (
        Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR, box=tuple(box))
        for image, box in zip(images, edges, strict=True)
    )
    return np.stack([np.asarray(part) for part in parts])


def crop_boxes(drawn: NDArray[np.float64], smallest: float) -> NDArray[np.float64]:
    """Return boxes (n, 4) for `crop` from numbers between 0 and 1 (n, 4): area, shape, and place along both axes."""
    area, shape = smallest + (1 - smallest) * drawn[:, 0], MAX_STRETCH ** (2 * drawn[:, 1] - 1)
    sides = np.minimum(1, np.sqrt(np.stack([area * shape, area / shape], axis=1)))
    start = drawn[:, 2:] * (1 - sides)
    return np.concatenate([start, start + sides], axis=1)


def adjust_light(images: Images, light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return images as float32 with brightness and contrast changed by `light` (n, 2): shift, and factor about GREY.

    Values may lie outside 0 to 255.
    """
    shifts, factors = light.T[:, :, None, None, None]
    adjusted: NDArray[np.float32] = (images + shifts - np.float32(GREY)) * factors + np.float32(GREY)
    return adjusted


class Batches:
    """The batches of all epochs: images (batch, height, width, channels) and targets (batch, classes).

    `targets` (n, classes) are what the network should answer for `images` (n, height, width, channels). The images of
    an incomplete last batch are left out, different ones in each epoch. `batch_size` is limited to the number of
    images.
    """

    def __init__(
        self,
        images: Images,
        targets: NDArray[np.float32],
        *,
        batch_size: int,
        seed: int,
        augmentation: Augmentation,
    ) -> None:
        self._images, self._targets, self._seed, self._augmentation = images, targets, seed, augmentation
        self.size = min(batch_size, len(images))
        self.steps = len(images) // self.size
        self.draws = lru_cache(maxsize=1)(self._draws)

    def batch(self, step: int) -> Batch:
        """Return the batch of a step, which counts from 0 over the whole training."""
        epoch, index = divmod(step, self.steps)
        draws = self.draws(epoch)
        rows = draws.order[index * self.size : (index + 1) * self.size]
        images = self._images[rows]
        if self._augmentation.crop < 1:
            images = crop(images, draws.crops[rows])
        images = shift(images, draws.shifts[rows], self._augmentation.translate)
        images = mirror(images, draws.mirrored[rows])
        if self._augmentation.brightness or self._augmentation.contrast:
            images = adjust_light(images, draws.light[rows])
        return images, self._targets[rows]

    def group(self, steps: range) -> Batch:
        """Return the batches of several steps, stacked along a new first axis."""
        images, targets = zip(*map(self.batch, steps), strict=True)
        return np.stack(images), np.stack(targets)

    def _draws(self, epoch: int) -> Draws:
        generator, count = np.random.default_rng((self._seed, EPOCH, epoch)), len(self._images)
        how = self._augmentation
        return Draws(
            order=generator.permutation(count),
            shifts=generator.integers(-how.translate, how.translate, (count, 2), endpoint=True),
            light=self._light(generator.uniform(-1, 1, (count, 2))),
            mirrored=self._mirrored(epoch, generator.random(count) < 0.5),
            crops=crop_boxes(generator.random((count, 4)), how.crop),
        )

    def _light(self, drawn: NDArray[np.float64]) -> NDArray[np.float32]:
        shift, stretch = (
            255 * self._augmentation.brightness * drawn[:, 0],
            1 + self._augmentation.contrast * drawn[:, 1],
        )
        return np.stack([shift, stretch], axis=1).astype(np.float32)

    def _mirrored(self, epoch: int, drawn: NDArray[np.bool_]) -> NDArray[np.bool_]:
        if self._augmentation.flip == "none":
            return np.zeros(len(drawn), np.bool_)
        if self._augmentation.flip == "random":
            return drawn
        first = np.random.default_rng((self._seed, MIRROR)).random(len(drawn)) < 0.5
        return first if epoch % 2 == 0 else ~first


class Prefetch:
    """Batches of groups of steps, each made in a thread during the training on the previous one.

    `making_s` is the time that the thread has worked, `waiting_s` the time that the training has waited for it.
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
