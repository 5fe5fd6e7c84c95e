"""Pictures whose labels are known, to measure how an imported network must be used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.Image import Resampling

from shared.training.datasets import CIFAR10_LABELS
from worker.data.datasets import CIFAR10_SHAPE, Dataset

#: The first 20 test images of each class of CIFAR-10, one below the other, class by class.
STRIP = Path(__file__).with_name("cifar10.png")
#: Validation images that are used if CIFAR-10 is available.
MAX_PICTURES = 1000


@dataclass(frozen=True, eq=False)
class Pictures:
    """RGB pictures, uint8 (n, height, width, 3), the indices of their labels, and where they are from."""

    name: str
    x: NDArray[np.uint8]
    y: NDArray[Any]


def labelled_pictures(labels: tuple[str, ...], height: int, width: int, dataset: Dataset | None) -> Pictures | None:
    """Return pictures of this size for a network with these labels; None if there are none."""
    if labels != CIFAR10_LABELS:
        return None
    if dataset is None:
        return _resized(_strip(), height, width)
    return Pictures(dataset.name, dataset.x_val[:MAX_PICTURES], dataset.y_val[:MAX_PICTURES])


def _strip() -> Pictures:
    with Image.open(STRIP) as image:
        x = np.asarray(image.convert("RGB")).reshape(-1, *CIFAR10_SHAPE)
    return Pictures("CIFAR-10", x, np.repeat(np.arange(len(CIFAR10_LABELS)), len(x) // len(CIFAR10_LABELS)))


def _resized(pictures: Pictures, height: int, width: int) -> Pictures:
    size = (width, height)
    x = np.stack([np.asarray(Image.fromarray(each).resize(size, Resampling.BICUBIC)) for each in pictures.x])
    return Pictures(pictures.name, x, pictures.y)
