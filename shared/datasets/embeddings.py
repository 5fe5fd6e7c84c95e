"""Perceptual hashes and Embeddings of a Block as bytes. Only programs that compute import this: it needs NumPy."""

from __future__ import annotations

import struct
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from shared.datasets.files import HASH_BYTES, HEADER_BYTES, NUMBER_BYTES, embeddings_key, hashes_key
from shared.storage.blobs import BlobStore

HEADER = struct.Struct("<II")

#: Hashes of shape (rows,), uint64; Embeddings of shape (rows, dimensions), float16.
Hashes: TypeAlias = NDArray[np.uint64]
Vectors: TypeAlias = NDArray[np.float16]


def write_hashes(blobs: BlobStore, dataset: str, block: str, hashes: Hashes, mirrored: Hashes) -> None:
    """Store the perceptual hashes of a Block's pictures and of their mirror images, by row."""
    content = hashes.astype("<u8").tobytes() + mirrored.astype("<u8").tobytes()
    blobs.put(hashes_key(dataset, block), content)


def read_hashes(blobs: BlobStore, dataset: str, block: str) -> tuple[Hashes, Hashes]:
    """Return the hashes of a Block's pictures and of their mirror images, by row. Raise NotFound.

    Rows of deleted pictures are 0, which may also be the hash of a picture.
    """
    content = blobs.get(hashes_key(dataset, block))
    both = np.frombuffer(content, "<u8").reshape(2, len(content) // (2 * HASH_BYTES))
    return both[0], both[1]


def write_embeddings(blobs: BlobStore, dataset: str, block: str, backbone: str, vectors: Vectors) -> None:
    """Store the Embeddings of a Block's pictures by a Backbone, by row.

    After the Block's commit, call this only inside `DatasetSweep.alone`, with zeros for pictures that are deleted.
    """
    content = HEADER.pack(*vectors.shape) + vectors.astype("<f2").tobytes()
    blobs.put(embeddings_key(dataset, block, backbone), content)


def read_embeddings(blobs: BlobStore, dataset: str, block: str, backbone: str) -> Vectors:
    """Return the Embeddings of a Block's pictures by a Backbone, by row, zeros if deleted. Raise NotFound."""
    content = blobs.get(embeddings_key(dataset, block, backbone))
    return np.frombuffer(content, "<f2", offset=HEADER_BYTES).reshape(HEADER.unpack_from(content))


def read_embedding(
    blobs: BlobStore, dataset: str, block: str, backbone: str, *, row: int, dimensions: int
) -> NDArray[np.float16]:
    """Return one Embedding, of shape (dimensions,), without reading the others. Raise NotFound."""
    length = dimensions * NUMBER_BYTES
    start = HEADER_BYTES + row * length
    return np.frombuffer(blobs.get_range(embeddings_key(dataset, block, backbone), start, length), "<f2")
