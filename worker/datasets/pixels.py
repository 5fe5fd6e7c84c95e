"""Decode stored pictures of a Dataset for a network."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.datasets.entities import Block
from shared.datasets.files import picture_key
from shared.domain.card import Input
from shared.domain.errors import ItemError, NotFound
from shared.storage.blobs import BlobStore
from worker.data.decode import decode

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class StoredPictures:
    """The pictures of a Dataset in the blob store. `pool` reads and decodes."""

    blobs: BlobStore
    dataset: str
    max_pixels: int
    pool: ThreadPoolExecutor

    def pixels(self, pictures: Sequence[tuple[Block, str]], shape: Input) -> dict[int, Pixels]:
        """Return the pixels (height, width, 3) of pictures, given as Block and digest, by their place in the list.

        Pictures that are deleted or cannot be decoded are left out. Raise Unavailable.
        """
        decoded = enumerate(self.pool.map(lambda picture: self._pixels(picture[0], picture[1], shape), pictures))
        return {place: pixels for place, pixels in decoded if pixels is not None}

    def _pixels(self, block: Block, digest: str, shape: Input) -> Pixels | None:
        try:
            content = self.blobs.get(picture_key(self.dataset, block.id, digest))
            return decode(content, shape.height, shape.width, self.max_pixels)
        except (NotFound, ItemError):
            return None
