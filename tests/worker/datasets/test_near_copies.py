"""The hashes of a Dataset's pictures that a process keeps."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shared.datasets.embeddings import write_embeddings, write_hashes
from shared.datasets.entities import Block
from shared.storage.blobs import BlobStore
from worker.datasets.near_copies import Examples, NearCopies

BACKBONE = "tiny-1"


def block_of(blobs: BlobStore, number: int, name: str, value: int) -> Block:
    """Store a Block of one picture with this hash."""
    hashes = np.array([value], np.uint64)
    write_hashes(blobs, "things", name, hashes, ~hashes)
    write_embeddings(blobs, "things", name, BACKBONE, np.ones((1, 4), np.float16))
    return Block(number, name, first=1 + number, rows=1)


def test_blocks_that_redis_has_lost_are_forgotten(tmp_path: Path) -> None:
    """Given known Blocks, When Redis has lost the last one and has another in its place, Then that one is read."""
    blobs = BlobStore.open(None, tmp_path)
    first, lost, other = (
        block_of(blobs, number, name, value)
        for number, name, value in ((0, "first", 0x1111), (1, "lost", 0x22220000), (1, "other", 0x333300000000))
    )
    near_copies = NearCopies(blobs)

    def found(blocks: list[Block], value: int) -> list[tuple[int, ...]]:
        hashes = np.array([value], np.uint64)
        return near_copies.in_dataset("things", blocks, BACKBONE, Examples(hashes, hashes, np.ones((1, 4), np.float16)))

    assert found([first, lost], 0x22220001) == [(2,)]
    assert found([first, other], 0x333300000001) == [(2,)]
    assert found([first, other], 0x22220001) == [()]
    assert found([first], 0x333300000001) == [()]
