"""The pictures of a Dataset that look most like each one, as the last report found them.

datasets/<dataset>/neighbours    a digest of what was compared (32 bytes), then COUNT numbers of pictures (uint32)
                                 for each picture, by its number; 0 for none
"""

from __future__ import annotations

import struct

from shared.datasets.files import neighbours_key
from shared.domain.errors import NotFound
from shared.storage.blobs import BlobStore

#: Neighbours of a picture, at most, and how they are stored.
COUNT = 5
ROW = struct.Struct(f"<{COUNT}I")
#: Bytes of the digest.
DIGEST_BYTES = 32


def write_neighbours(blobs: BlobStore, dataset: str, digest: bytes, rows: bytes) -> None:
    """Store the neighbours of all pictures, a ROW each from number 1 on. Raise StorageFull, Unavailable."""
    blobs.put(neighbours_key(dataset), digest + rows)


def compared(blobs: BlobStore, dataset: str) -> bytes | None:
    """Return the digest of what was compared, None if nothing was. Raise Unavailable."""
    try:
        return blobs.get_range(neighbours_key(dataset), 0, DIGEST_BYTES)
    except NotFound:
        return None


def read_neighbours(blobs: BlobStore, dataset: str, n: int) -> list[int]:
    """Return the numbers of a picture's neighbours, the most similar first; none if it is newer. Raise Unavailable."""
    try:
        rows = blobs.get(neighbours_key(dataset))
    except NotFound:
        return []
    row = rows[DIGEST_BYTES + (n - 1) * ROW.size : DIGEST_BYTES + n * ROW.size]
    return [number for number in ROW.unpack(row) if number] if row else []
