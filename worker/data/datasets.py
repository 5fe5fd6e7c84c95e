"""CIFAR-10, checked and split: 32×32 RGB photographs of ten classes.

Source: Alex Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.domain.errors import InvalidRequest, NotFound
from shared.training.datasets import CIFAR10, CIFAR10_LABELS

#: Height, width and channels of one image.
CIFAR10_SHAPE = (32, 32, 3)

#: The environment variable with the path of a local copy.
CIFAR10_SETTING = "DARKROOM_CIFAR10"

#: The arrays of a local copy, in the order of the digest.
ARRAYS = ("x_train", "y_train", "x_test", "y_test")

#: Fraction of the training images used for validation: 2,000 of CIFAR-10's 50,000, 200 of each class.
VALIDATION_SHARE = 0.04

#: Fixed, so that every training has the same validation images.
SPLIT_SEED = 10

Images = NDArray[np.uint8]
Indices = NDArray[np.integer[Any]]
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class ChampionScore:
    """The champion and its accuracy on the held-out corrections; None if it could not be measured."""

    version: str
    accuracy: float | None


@dataclass(frozen=True, eq=False)
class Corrections:
    """Corrected pictures added to the dataset with the digest `base_digest`; see `worker.training.corrections`.

    `learnt` of them are among the training images, `weight` times each. `x` (n, height, width, channels) and `y` (n,)
    are the held-out set.
    """

    base_digest: str
    learnt: int
    weight: int
    x: Images
    y: Images
    champion: ChampionScore | None = None


@dataclass(frozen=True)
class Origin:
    """The Dataset in the service, at one revision, that images come from, and its owner."""

    owner: str
    id: str
    revision: int


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images as uint8 arrays (n, height, width, channels) and their label indices as integer arrays (n,).

    Weights are fitted to `train`, choices are made on `val`, and `test` is used once, for the final metrics. `digest`
    is the sha256 of `ARRAYS` before `val` is split off; it includes the corrections, if any. `origin`, and the numbers
    (n,) of the test pictures in it, are None for CIFAR-10.
    """

    name: str
    digest: str
    labels: tuple[str, ...]
    x_train: Images
    y_train: Indices
    x_val: Images
    y_val: Indices
    x_test: Images
    y_test: Indices
    corrections: Corrections | None = None
    origin: Origin | None = None
    test_numbers: NDArray[np.int64] | None = None


def load_cifar10() -> Dataset:
    """Return CIFAR-10 from the `.npz` file in DARKROOM_CIFAR10, or from Keras, which downloads it once.

    Raises NotFound if neither is available, InvalidRequest if the arrays are not laid out as CIFAR-10's.
    """
    source = os.environ.get(CIFAR10_SETTING)
    arrays = _checked(_from_file(Path(source)) if source else _from_keras())
    held_out = validation_mask(arrays["y_train"])
    return Dataset(
        name=CIFAR10,
        digest=digest(arrays),
        labels=CIFAR10_LABELS,
        x_train=arrays["x_train"][~held_out],
        y_train=arrays["y_train"][~held_out],
        x_val=arrays["x_train"][held_out],
        y_val=arrays["y_train"][held_out],
        x_test=arrays["x_test"],
        y_test=arrays["y_test"],
    )


def digest(arrays: Arrays) -> str:
    """Return the hexadecimal sha256 of the bytes of `ARRAYS`, in that order and each in C order."""
    total = hashlib.sha256()
    for name in ARRAYS:
        total.update(np.ascontiguousarray(arrays[name]).data)
    return total.hexdigest()


def validation_mask(truth: Images, share: float = VALIDATION_SHARE, seed: int = SPLIT_SEED) -> NDArray[np.bool_]:
    """Return a bool array (n,) that selects the validation images by their label indices `truth` (n,).

    Stratified: `share` of each class, rounded, but at least one image. Deterministic.
    """
    generator = np.random.default_rng(seed)
    mask = np.zeros(len(truth), dtype=np.bool_)
    for label in np.unique(truth):
        rows = np.flatnonzero(truth == label)
        mask[generator.permutation(rows)[: max(1, round(share * len(rows)))]] = True
    return mask


def _from_file(path: Path) -> Arrays:
    try:
        # np.load does not close a file that it has opened itself if the archive is broken.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in ARRAYS}
    except FileNotFoundError as error:
        raise NotFound(
            f"{CIFAR10_SETTING} is {path}, which does not exist: correct it, or unset it to download CIFAR-10."
        ) from error
    except KeyError as error:
        raise InvalidRequest(f"{path} lacks arrays of CIFAR-10; it must have {', '.join(ARRAYS)}.") from error
    except (OSError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise InvalidRequest(f"{path} is not a readable .npz file of arrays.") from error


def _from_keras() -> Arrays:
    from keras.datasets import cifar10  # noqa: PLC0415 - loads TensorFlow, which a local copy does not need

    try:
        (x_train, y_train), (x_test, y_test) = cifar10.load_data()
    except Exception as error:  # Keras raises a bare Exception if the download fails
        raise NotFound(
            f"CIFAR-10 could not be downloaded: set {CIFAR10_SETTING} to an .npz file with {', '.join(ARRAYS)}."
        ) from error
    return dict(zip(ARRAYS, (x_train, y_train, x_test, y_test), strict=True))


def _checked(arrays: Arrays) -> dict[str, Images]:
    """Return the arrays as uint8 with labels of shape (n,). Raises InvalidRequest."""
    checked = {}
    for part in ("train", "test"):
        images, truth = arrays[f"x_{part}"], arrays[f"y_{part}"]
        checked[f"x_{part}"] = _checked_images(f"x_{part}", images)
        checked[f"y_{part}"] = _checked_truth(f"y_{part}", truth, len(images))
    scarce = np.flatnonzero(np.bincount(checked["y_train"], minlength=len(CIFAR10_LABELS)) < 2)
    if scarce.size:
        raise InvalidRequest(f"y_train has fewer than two images of {CIFAR10_LABELS[scarce[0]]}.")
    return checked


def _checked_images(name: str, images: NDArray[Any]) -> Images:
    if images.dtype != np.uint8 or images.shape[1:] != CIFAR10_SHAPE or not len(images):
        raise InvalidRequest(f"{name} should be uint8 of shape (n, 32, 32, 3), not {images.dtype} of {images.shape}.")
    return images


def _checked_truth(name: str, truth: NDArray[Any], count: int) -> Images:
    if not np.issubdtype(truth.dtype, np.integer) or truth.shape not in {(count,), (count, 1)}:
        raise InvalidRequest(f"{name} should be integers of shape ({count},), not {truth.dtype} of {truth.shape}.")
    if truth.min() < 0 or truth.max() >= len(CIFAR10_LABELS):
        raise InvalidRequest(f"{name} should hold 0 to 9, not {truth.min()} to {truth.max()}.")
    return truth.reshape(count).astype(np.uint8)
