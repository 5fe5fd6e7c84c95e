"""Which labelled pictures look most like each picture of a Dataset, by their Embeddings."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.datasets.neighbours import COUNT
from worker.serving.head import ROWS, normalised

#: Labelled pictures that are looked through, at most: each picture is compared with each of them.
MAX_SEARCHED = 20_000
#: Stands in for the cosine with a picture's own near copies, which are no neighbours.
EXCLUDED = -2


class Pictures(NamedTuple):
    """Pictures by row: numbers (n,), Groups (n,) and Embeddings (n, d)."""

    numbers: NDArray[np.int64]
    groups: NDArray[np.int64]
    vectors: NDArray[Any]


def neighbours(pictures: Pictures, labelled: Pictures) -> NDArray[np.uint32]:
    """Return the COUNT most similar ones of `labelled` for each picture, by number from 1 on: (largest number, COUNT).

    Near copies are left out. 0 stands for none. Of more than MAX_SEARCHED, a sample is looked through.
    """
    step = -(-len(labelled.numbers) // MAX_SEARCHED)
    numbers, groups, vectors = (column[::step] for column in labelled)
    references = normalised(vectors)
    rows = np.zeros((int(pictures.numbers.max(initial=0)), COUNT), np.uint32)
    for start in range(0, len(pictures.numbers), ROWS):
        part = slice(start, start + ROWS)
        similarity = normalised(pictures.vectors[part]) @ references.T
        similarity[pictures.groups[part, None] == groups] = EXCLUDED
        nearest = _largest(similarity)
        there = np.take_along_axis(similarity, nearest, axis=1) > EXCLUDED
        rows[pictures.numbers[part] - 1, : nearest.shape[1]] = np.where(there, numbers[nearest], 0)
    return rows


def digest(backbone: str, *compared: Pictures) -> bytes:
    """Return a SHA-256 of pictures and their Groups: what was compared need not be compared again."""
    found = hashlib.sha256(backbone.encode())
    for numbers, groups, _ in compared:
        found.update(f"\n{len(numbers)} ".encode() + numbers.tobytes() + groups.tobytes())
    return found.digest()


def _largest(similarity: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the columns of the COUNT largest values of each row (n, m), the largest first."""
    count = min(COUNT, similarity.shape[1])
    columns = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
    values = np.take_along_axis(similarity, columns, axis=1)
    return np.take_along_axis(columns, np.argsort(-values, axis=1, kind="stable"), axis=1)
