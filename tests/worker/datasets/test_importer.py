"""Imports that meet others: what a refused Item keeps, and what two workers with the same picture leave behind."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.datasets import imports
from shared.datasets.embeddings import read_embeddings, read_hashes
from shared.datasets.entities import Picture
from shared.datasets.files import picture_key, thumbnail_key
from shared.datasets.labels import Fate
from shared.datasets.pictures import DatasetPictures
from shared.domain.classifier import EVERYDAY
from shared.domain.entities import CLASSIFICATION_QUEUES, LOCAL_OWNER, Chunk, ImportOutcome, JobKind, job_folder
from shared.redis import keys
from shared.redis.connection import undecoded
from shared.services import Services
from tests.fixtures.shapes import drawn, encoded
from tests.worker.kit import importer, put
from worker.datasets.embedder import Embedder
from worker.datasets.snapshot import unlabelled
from worker.serving.backbone import Backbone, Backbones
from worker.timings import Timings

ADDED, PRESENT, _ = ImportOutcome
CIRCLE, SQUARE, BARS = (encoded(drawn(shape, 1)) for shape in ("circle", "square", "bars"))


class Overtaken(DatasetPictures):
    """Another worker imports, once, right after this one has looked which pictures the Dataset has."""

    def __init__(self, services: Services, other: Callable[[], object]) -> None:
        super().__init__(services.redis)
        self._others = [other]

    def find(self, dataset: str, digests: Sequence[str]) -> dict[str, Picture]:
        found = super().find(dataset, digests)
        while self._others:
            self._others.pop()()
        return found


class Imports:
    """A Dataset, and workers that import into it."""

    def __init__(self, services: Services, pool: ThreadPoolExecutor, backbone: Backbone) -> None:
        self.services, self.backbone, self.importer = services, backbone, importer(services, pool)
        self.id = services.datasets.create(LOCAL_OWNER, "things")

    def job(self, contents: Mapping[str, bytes], label: str | None = None) -> str:
        """Return a sealed import of these pictures, by key."""
        store = self.services.store
        job_id = store.create(JobKind.IMPORT, retention_s=60, dataset=self.id, model=self.backbone.version)
        store.add(job_id, [replace(upload, label=label) for upload in put(self.services, job_id, dict(contents))], 1000)
        store.seal(job_id)
        return job_id

    def claim(self, most: int = 100) -> Chunk:
        chunk = self.services.chunks.claim("worker", CLASSIFICATION_QUEUES, max_items=most)
        assert chunk is not None
        return chunk

    def run(self, chunk: Chunk, overtaken_by: Chunk | None = None) -> int | None:
        """Import a Chunk; return the number of failed Items."""
        worker = self.importer
        if overtaken_by:
            pictures = Overtaken(self.services, lambda: self.run(overtaken_by))
            worker = replace(worker, pictures=pictures)
        return worker.run(chunk, self.id, self.backbone, Timings())

    def outcomes(self, job_id: str) -> dict[str, str]:
        """Return what became of each Item, by key."""
        items = {item.upload.key: item.outcome for item in self.services.results.stream(job_id)}
        return {key: each.imported.outcome if each.imported else each.failure.code for key, each in items.items()}

    def kept(self, job_id: str) -> list[str]:
        """Return the Blobs of a Job."""
        return self.services.blobs.keys(job_folder(job_id))


@pytest.fixture
def things(services: Services, threads: int) -> Iterator[Imports]:
    backbone = Backbones(services.registry, threads).get(services.registry.alias(EVERYDAY).version)
    with ThreadPoolExecutor(threads) as pool:
        yield Imports(services, pool, backbone)


def test_pictures_without_room_keep_their_bytes_for_a_retry(things: Imports, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a full Dataset, When an import fails and is retried after a deletion, Then its pictures are added."""
    monkeypatch.setattr(imports, "MAX_PICTURES", 2)
    monkeypatch.setattr(imports, "MAX_LABELS", 1)
    labels, parts = things.services.dataset_labels, things.services
    labels.add(things.id, ["old"])
    refused = things.job({"a": CIRCLE}, label="new")
    assert things.run(things.claim()) == 1
    full = things.job({"b": SQUARE, "c": BARS, "d": encoded(drawn("bars", 2))})
    assert things.run(things.claim()) == 1
    assert things.outcomes(refused) == {"a": "too_many_labels"}
    assert things.outcomes(full) == {"b": ADDED, "c": ADDED, "d": "dataset_full"}
    assert (len(things.kept(refused)), len(things.kept(full))) == (1, 1)
    labels.delete(things.id, "old", Fate.DELETE)
    parts.dataset_pictures.delete(things.id, [1, 2])
    for job_id in (refused, full):
        parts.store.retry(job_id, 10)
        assert things.run(things.claim()) == 0
        assert set(things.outcomes(job_id).values()) == {ADDED}
        assert things.kept(job_id) == []


def test_the_same_bytes_twice_in_an_import_are_present_the_second_time(things: Imports) -> None:
    """Given a worker that looks before another one has the same bytes, and reads after it, Then nothing is missing."""
    job_id = things.job({"a": CIRCLE, "b": CIRCLE})
    first, second = things.claim(1), things.claim(1)
    assert things.run(second, overtaken_by=first) == 0
    assert things.outcomes(job_id) == {"a": ADDED, "b": PRESENT}


def test_what_two_workers_have_imported_at_once_is_stored_once(things: Imports) -> None:
    """Given two workers with the same picture, When it is deleted, Then neither has left anything of it."""
    things.job({"x": CIRCLE})
    first = things.claim()
    both = things.job({"x": CIRCLE, "y": SQUARE})
    second = things.claim()
    assert things.run(second, overtaken_by=first) == 0
    assert things.outcomes(both) == {"x": PRESENT, "y": ADDED}
    blobs, sweep = things.services.blobs, things.services.dataset_sweep
    sweep.run()
    block = things.services.dataset_pictures.blocks(things.id)[1]
    where, digests = (blobs, things.id, block.id), [upload.sha256 for upload in second.uploads]
    stored = [
        [blobs.exists(key(things.id, block.id, each)) for key in (picture_key, thumbnail_key)] for each in digests
    ]
    assert stored == [[False, False], [True, True]]
    hashes, vectors = read_hashes(*where), read_embeddings(*where, things.backbone.version)
    assert [[bool(each.any()) for each in rows] for rows in (*hashes, vectors)] == [[False, True]] * 3
    assert sweep.unfinished(10) == []


def test_what_redis_has_lost_is_imported_again(services: Services, things: Imports) -> None:
    """Given an import, When Redis is a little older than the blobs, as after a restore, Then it is done again."""
    job_id = things.job({"x": CIRCLE, "y": SQUARE})
    redis = undecoded(services.redis)
    before = {key: redis.dump(key) for key in redis.scan_iter()}
    assert things.run(things.claim()) == 0
    assert things.kept(job_id) == []
    redis.flushall()
    for key, content in before.items():
        redis.restore(key, 0, content)
    redis.close()
    assert things.run(things.claim()) == 0
    assert things.outcomes(job_id) == {"x": ADDED, "y": ADDED}
    assert things.kept(job_id) == []


def test_a_new_backbone_makes_the_embeddings_of_a_block_once(services: Services, things: Imports) -> None:
    """Given two pictures, When the Embedding of one is wanted, Then both are stored."""
    things.job({"x": CIRCLE, "y": SQUARE})
    things.run(things.claim())
    pictures = services.dataset_pictures
    blocks, frozen = pictures.blocks(things.id), unlabelled(pictures.snapshot(things.id))

    class Other(Backbone):
        version = "other-1"

    other = Other(things.backbone.card, things.backbone.network)
    parts = services.blobs, pictures, services.dataset_sweep
    embedder = Embedder(*parts, other, services.settings.max_pixels, things.importer.pool)
    one = embedder.embed(frozen.without(frozen.rows == 1), blocks)
    stored = read_embeddings(services.blobs, things.id, blocks[0].id, other.version)
    assert one.shape[0] == 1 and np.array_equal(one[0], stored[0]) and stored[1].any()


def test_embeddings_that_take_long_leave_nothing_of_deleted_pictures(services: Services, things: Imports) -> None:
    """Given Embeddings for a new Backbone, When a picture is deleted and erased meanwhile, Then it has none."""
    things.job({"x": CIRCLE, "y": SQUARE})
    things.run(things.claim())
    pictures, sweep = services.dataset_pictures, services.dataset_sweep
    deleted = pictures.find(things.id, [hashlib.sha256(CIRCLE).hexdigest()]).popitem()[1]
    blocks, frozen = pictures.blocks(things.id), unlabelled(pictures.snapshot(things.id))

    class Slow(Backbone):
        version = "slow-1"

        def embed(self, images: NDArray[np.uint8]) -> NDArray[np.float16]:
            pictures.delete(things.id, [deleted.n])
            services.redis.delete(keys.dataset(things.id, "lock"))  # it expires after a minute
            sweep.run()
            return super().embed(images)

    slow = Slow(things.backbone.card, things.backbone.network)
    embedder = Embedder(services.blobs, pictures, sweep, slow, services.settings.max_pixels, things.importer.pool)
    assert embedder.embed(frozen, blocks).any(axis=1).all()
    stored = read_embeddings(services.blobs, things.id, blocks[0].id, slow.version)
    assert stored.any(axis=1).tolist() == [n != deleted.row for n in range(2)]
