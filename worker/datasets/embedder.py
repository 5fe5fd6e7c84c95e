"""The Embeddings of a Dataset's pictures: read from its Blocks, or made if this Backbone has not seen them yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from shared.datasets.embeddings import Vectors, read_embeddings, write_embeddings
from shared.datasets.entities import Block
from shared.datasets.files import block_folder, picture_key
from shared.datasets.pictures import DatasetPictures
from shared.datasets.sweep import DatasetSweep
from shared.domain.errors import NotFound
from shared.storage.blobs import BlobStore
from worker.datasets.pixels import StoredPictures
from worker.datasets.snapshot import FrozenDataset
from worker.serving.backbone import Backbone

#: Pictures that are decoded and embedded at a time.
BATCH = 64


@dataclass(frozen=True)
class Embedder:
    """Reads and makes Embeddings. `pool` reads and decodes; `progress` is called with the number of pictures read."""

    blobs: BlobStore
    pictures: DatasetPictures
    sweep: DatasetSweep
    backbone: Backbone
    max_pixels: int
    pool: ThreadPoolExecutor
    progress: Callable[[int], object] = lambda _: None
    _snapshots: dict[str, dict[int, dict[int, str]]] = field(default_factory=dict)

    def embed(self, frozen: FrozenDataset, blocks: Sequence[Block]) -> Vectors:
        """Return the Embeddings (n, dimensions) of all pictures; zeros for those whose bytes are deleted by now.

        `blocks` are all Blocks of the Dataset. Raise Unavailable.
        """
        vectors = np.zeros((len(frozen.numbers), self.backbone.dimensions), np.float16)
        for number in np.unique(frozen.blocks).tolist():
            places = np.flatnonzero(frozen.blocks == number)
            stored = self._block(frozen, number, blocks[number], places)
            vectors[places] = stored[frozen.rows[places]]
            self.progress(len(places))
        return vectors

    def _block(self, frozen: FrozenDataset, number: int, block: Block, places: NDArray[np.int64]) -> Vectors:
        try:
            return read_embeddings(self.blobs, frozen.dataset, block.id, self.backbone.version)
        except NotFound:
            digests = {int(frozen.rows[place]): frozen.digests[place] for place in places.tolist()}
            return self._make(frozen, block, digests | self._present(frozen.dataset, number))

    def _present(self, dataset: str, number: int) -> dict[int, str]:
        """Return the digests of all pictures that a Block has now, labelled or not, by row."""
        if dataset not in self._snapshots:
            rows: dict[int, dict[int, str]] = defaultdict(dict)
            with suppress(NotFound):  # the Dataset is deleted
                for picture in self.pictures.snapshot(dataset).pictures:
                    rows[picture.block][picture.row] = picture.sha256
            self._snapshots[dataset] = rows
        return self._snapshots[dataset][number]

    def _make(self, frozen: FrozenDataset, block: Block, digests: Mapping[int, str]) -> Vectors:
        """Return the Embeddings of a Block, and store them unless pictures are being deleted at the moment.

        `digests` are those of all its pictures, by row.
        """
        vectors = np.zeros((block.rows, self.backbone.dimensions), np.float16)
        stored = StoredPictures(self.blobs, frozen.dataset, self.max_pixels, self.pool)
        rows, shape = list(digests), self.backbone.card.input
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            wanted = [(block, digests[row]) for row in part]
            found = stored.pixels(wanted, shape)
            if found:
                vectors[[part[place] for place in found]] = self.backbone.embed(np.stack(list(found.values())))
        self._store(frozen.dataset, block, digests, vectors)
        return vectors

    def _store(self, dataset: str, block: Block, digests: Mapping[int, str], vectors: Vectors) -> None:
        """Store the Embeddings of a Block without those of pictures that are erased by now."""
        with self.sweep.alone(dataset) as is_alone:
            if is_alone:
                there = set(self.blobs.keys(block_folder(dataset, block.id)))
                gone = [row for row, digest in digests.items() if picture_key(dataset, block.id, digest) not in there]
                left = vectors.copy()
                left[gone] = 0
                write_embeddings(self.blobs, dataset, block.id, self.backbone.version, left)
