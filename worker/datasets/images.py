"""The pictures of a Dataset as images for the presets that learn from pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shared.datasets.entities import Block
from shared.domain.card import Input
from worker.data.datasets import CIFAR10_SHAPE, Dataset, Origin
from worker.datasets.pixels import StoredPictures
from worker.datasets.snapshot import FrozenDataset, TooFewPictures
from worker.heads.folds import assign_folds

#: The size that the presets are made for.
SHAPE = Input(height=CIFAR10_SHAPE[0], width=CIFAR10_SHAPE[1], channels=CIFAR10_SHAPE[2])
#: Fixed, so that every training on a Snapshot has the same validation images.
SPLIT_SEED = 10


def images_of(
    frozen: FrozenDataset,
    blocks: Sequence[Block],
    stored: StoredPictures,
    name: str,
    owner: str,
    *,
    shape: Input = SHAPE,
) -> Dataset:
    """Return the pictures of a Snapshot, squashed to `shape`; a fifth of the training pictures validates.

    `blocks` are all Blocks of the Dataset. Pictures that are deleted by now are left out. Raise TooFewPictures if a
    part has none, Unavailable.
    """
    wanted = [(blocks[block], digest) for block, digest in zip(frozen.blocks.tolist(), frozen.digests, strict=True)]
    found = stored.pixels(wanted, shape)
    if not found:
        raise TooFewPictures("all pictures are deleted.")
    gone = np.ones(len(wanted), np.bool_)
    gone[list(found)] = False
    frozen = frozen.without(gone)
    x, y, validate = np.stack(list(found.values())), frozen.truth, validation(frozen)
    learn = ~(frozen.test | validate)
    if not (learn.any() and validate.any() and frozen.test.any()):
        raise TooFewPictures("there are no pictures to train, to validate or to test on.")
    return Dataset(
        name=name,
        digest=frozen.digest,
        labels=frozen.labels,
        x_train=x[learn],
        y_train=y[learn],
        x_val=x[validate],
        y_val=y[validate],
        x_test=x[frozen.test],
        y_test=y[frozen.test],
        origin=Origin(owner, frozen.dataset, frozen.revision),
        test_numbers=frozen.numbers[frozen.test],
    )


def validation(frozen: FrozenDataset) -> NDArray[np.bool_]:
    """Return which pictures (n,) validate: a fifth of the training pictures, never a part of a group."""
    train = ~frozen.test
    chosen = np.zeros(len(train), np.bool_)
    chosen[train] = assign_folds(frozen.truth[train], frozen.groups[train], SPLIT_SEED) == 0
    return chosen
