"""Helpers for tests of Datasets: imports without a worker, and checks of the store's invariants."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from shared.datasets.entities import CommitResult, CommitState, NewPicture, Picture, Split
from shared.datasets.files import HASHES, block_folder, picture_key, thumbnail_key
from shared.datasets.imports import DatasetImports
from shared.datasets.labels import DatasetLabels
from shared.datasets.pictures import DatasetPictures
from shared.datasets.store import DatasetStore
from shared.datasets.sweep import DatasetSweep
from shared.domain.entities import LOCAL_OWNER, Chunk, Failure
from shared.jobs.results import Results
from shared.redis.connection import Client
from shared.storage.blobs import BlobStore
from tests.shared.kit import Kit, upload


def digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class Given:
    """A picture to import: its content, its Label, and the contents of near copies in this import or the Dataset."""

    content: str
    label: str | None = None
    near: tuple[str, ...] = ()
    split: Split | None = None
    pinned: bool = False


class DatasetKit:
    """The parts of the Dataset store over one Redis, and shortcuts."""

    def __init__(self, client: Client, blobs: BlobStore) -> None:
        self.redis, self.blobs, self.jobs = client, blobs, Kit(client)
        self.store, self.labels = DatasetStore(client), DatasetLabels(client)
        self.pictures, self.imports = DatasetPictures(client), DatasetImports(client)
        self.sweep, self.results = DatasetSweep(client, blobs), Results(client)

    def close(self) -> None:
        self.pictures.close()

    def create(self, name: str = "things", *labels: str, owner: str = LOCAL_OWNER) -> str:
        return self.store.create(owner, name, labels)

    def claim(self, *pictures: Given) -> Chunk:
        """Return the claimed Chunk of a Job with these pictures."""
        self.jobs.sealed_job([upload(f"k{n}", picture.content) for n, picture in enumerate(pictures)])
        return self.jobs.claim()

    def commit(self, dataset: str, chunk: Chunk, *pictures: Given, seen: int | None = None) -> CommitResult:
        """Examine and commit the pictures of a Chunk, as a worker does."""
        blocks = self.pictures.blocks(dataset)
        found = self.pictures.find(dataset, [digest(p.content) for p in pictures])
        rows: dict[str, int] = {}
        for picture in pictures:
            if digest(picture.content) not in found:
                rows.setdefault(picture.content, len(rows))
        self._store(dataset, chunk.id, rows)
        outcomes = {f"k{n}": self._new(dataset, f"k{n}", p, rows) for n, p in enumerate(pictures)}
        result = self.imports.commit(chunk, dataset, len(blocks) if seen is None else seen, len(rows), outcomes)
        used = result.added if result.state is CommitState.COMMITTED else frozenset()
        if not used:
            self.blobs.delete_all(block_folder(dataset, chunk.id))
        return result

    def add(self, dataset: str, *pictures: Given) -> list[Picture]:
        """Import the pictures and return them, as they are in the Dataset now."""
        assert self.commit(dataset, self.claim(*pictures), *pictures).state is CommitState.COMMITTED
        found = self.pictures.find(dataset, [digest(p.content) for p in pictures])
        return [found[digest(p.content)] for p in pictures]

    def _new(self, dataset: str, key: str, given: Given, rows: dict[str, int]) -> NewPicture | Failure:
        there = self.pictures.find(dataset, [digest(content) for content in given.near])
        return NewPicture(
            key,
            digest(given.content),
            f"{given.content}.png",
            size=100 + len(given.content),
            media_type="image/png",
            width=32,
            height=70_000,
            row=rows.get(given.content),
            label=given.label,
            near=tuple(picture.n for picture in there.values()),
            near_rows=tuple(rows[content] for content in given.near if content in rows),
            split=given.split,
            pinned=given.pinned,
        )

    def _store(self, dataset: str, block: str, rows: dict[str, int]) -> None:
        for content in rows:
            self.blobs.put(picture_key(dataset, block, digest(content)), content.encode())
            self.blobs.put(thumbnail_key(dataset, block, digest(content)), b"small")
        self.blobs.put(f"{block_folder(dataset, block)}/{HASHES}", bytes([1]) * 16 * len(rows))
