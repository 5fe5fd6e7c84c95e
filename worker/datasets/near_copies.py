"""Find near copies: pictures with nearly the same perceptual hash, mirrored or not, and similar Embeddings.

The hash finds scaled and recompressed copies. Pictures with few details can have the same hash by chance; their
Embeddings tell them apart.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from shared.datasets.embeddings import Hashes, Vectors, read_embedding, read_hashes
from shared.datasets.entities import Block
from shared.domain.errors import NotFound
from shared.storage.blobs import BlobStore

#: Bits of two hashes that may differ.
MAX_BITS = 6
#: Cosine of two Embeddings, at least.
MIN_COSINE = 0.9
#: Near hashes of one picture whose Embeddings are compared, at most: pictures on white may have thousands.
MAX_CANDIDATES = 32
#: Datasets whose hashes a process keeps: 24 bytes for each picture.
KEPT_DATASETS = 8


@dataclass(frozen=True)
class Examples:
    """New pictures by row: hashes, also of the mirror images, of shape (rows,) and Embeddings (rows, dimensions)."""

    hashes: Hashes
    mirrored: Hashes
    vectors: Vectors


@dataclass
class _Known:
    """Hashes of a Dataset's pictures, and the number of Blocks that they come from."""

    blocks: list[Block] = field(default_factory=list)
    numbers: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    hashes: Hashes = field(default_factory=lambda: np.empty(0, np.uint64))
    #: Index in `blocks`, and row, of each.
    places: NDArray[np.int32] = field(default_factory=lambda: np.empty((0, 2), np.int32))


class NearCopies:
    """The hashes of the Datasets that this process imports into, read once from the blob store.

    Every method raises Unavailable if the blob store cannot be reached.
    """

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def in_dataset(self, dataset: str, blocks: Sequence[Block], backbone: str, new: Examples) -> list[tuple[int, ...]]:
        """Return the numbers of each new picture's near copies in these Blocks, which are all of the Dataset."""
        known = self._read(dataset, blocks)
        return [
            tuple(
                int(known.numbers[at])
                for at in _similar(known.hashes, new.hashes[row], new.mirrored[row])
                if self._cosine(dataset, backbone, known, at, new.vectors[row]) >= MIN_COSINE
            )
            for row in range(len(new.hashes))
        ]

    def _read(self, dataset: str, blocks: Sequence[Block]) -> _Known:
        """Return the hashes of all Blocks; only those of new ones are read.

        All are read anew if the last ones are others by now: a Redis that has failed may lose what it was told last.
        """
        known = self._known.get(dataset)
        if known is None or known.blocks != list(blocks[: len(known.blocks)]):
            known = self._known[dataset] = _Known()
        self._known.move_to_end(dataset)
        if len(self._known) > KEPT_DATASETS:
            self._known.popitem(last=False)
        parts = [
            self._hashes(dataset, block, len(known.blocks) + n) for n, block in enumerate(blocks[len(known.blocks) :])
        ]
        if parts:
            numbers, hashes, places = zip(*parts, strict=True)
            known.numbers = np.concatenate([known.numbers, *numbers])
            known.hashes = np.concatenate([known.hashes, *hashes])
            known.places = np.concatenate([known.places, *places])
            known.blocks = list(blocks)
        return known

    def _hashes(self, dataset: str, block: Block, place: int) -> tuple[NDArray[np.int64], Hashes, NDArray[np.int32]]:
        try:
            hashes = read_hashes(self._blobs, dataset, block.id)[0]
        except NotFound:  # deleted with all of its pictures
            hashes = np.empty(0, np.uint64)
        rows = np.arange(len(hashes))
        return block.first + rows, hashes, np.stack([np.full(len(hashes), place), rows], axis=1).astype(np.int32)

    def _cosine(self, dataset: str, backbone: str, known: _Known, at: int, vector: NDArray[np.float16]) -> float:
        place, row = known.places[at]
        block = known.blocks[place].id
        try:
            other = read_embedding(self._blobs, dataset, block, backbone, row=int(row), dimensions=len(vector))
        except NotFound:
            return 0.0
        return float(cosine(vector, other))


def among_each_other(new: Examples) -> list[tuple[int, ...]]:
    """Return, for each new picture, the rows before it with near copies of it."""
    return [
        tuple(
            other
            for other in _similar(new.hashes[:row], new.hashes[row], new.mirrored[row])
            if cosine(new.vectors[row], new.vectors[other]) >= MIN_COSINE
        )
        for row in range(len(new.hashes))
    ]


def cosine(one: NDArray[np.float16], other: NDArray[np.float16]) -> float:
    """Return the cosine of two Embeddings, 0 if one of them is zero because its picture is deleted."""
    a, b = one.astype(np.float32), other.astype(np.float32)
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / length if length else 0.0


def _similar(hashes: Hashes, *wanted: np.uint64) -> list[int]:
    """Return the places of the hashes that differ from one of `wanted` in at most MAX_BITS bits, the nearest first.

    A hash of 0 is never near: that is a deleted picture, or one without any details.
    """
    bits = np.minimum.reduce([np.bitwise_count(hashes ^ each) for each in wanted])
    near = np.flatnonzero((bits <= MAX_BITS) & (hashes != 0))
    best: list[int] = near[np.argsort(bits[near], kind="stable")][:MAX_CANDIDATES].tolist()
    return best
