"""A worker makes the heatmaps that are waited for; whatever is wrong with one is told, and the others are made."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from shared.domain.classifier import CIFAR10, EVERYDAY, Classifier
from shared.domain.entities import Failure, JobKind, Queue, blob_key, job_folder
from shared.jobs.heatmaps import MAX_TRIES, Heatmap
from shared.jobs.workers import Lack, Worker
from shared.redis import keys
from shared.services import Services
from tests.worker.heatmaps.kit import centre, dog_in_the_corner, worker_of
from tests.worker.kit import pictures, put
from worker.heatmaps import heatmap_worker
from worker.heatmaps.heatmap_worker import HeatmapWorker
from worker.serving.models import ModelCache

#: A version that nobody has.
LOST = "fast-20260101-00000000"
DOG, ENGLISH_FOXHOUND = 5, 167


@pytest.fixture(scope="module")
def loaded() -> list[ModelCache]:
    """Return the models of earlier tests, since loading takes most of the time."""
    return []


@pytest.fixture
def worker(services: Services, loaded: list[ModelCache], threads: int) -> HeatmapWorker:
    if not loaded:
        loaded.append(ModelCache(services.registry, threads, 10**9))
    return worker_of(services, loaded[0])


def wanted(services: Services, content: bytes, model: str | None = None, label: int = DOG) -> Heatmap:
    """Return the heatmap of a picture in a new job, and ask for it."""
    version = model or services.registry.champion().version
    job_id = services.store.create(JobKind.CLASSIFICATION, retention_s=3600, model=version)
    (upload,) = put(services, job_id, {"a": content})
    heatmap = Heatmap(version, job_id, upload.sha256, label, upload.stored_as)
    services.heatmaps.ask(heatmap)
    return heatmap


@pytest.mark.parametrize(("orientation", "size"), [(1, (400, 300)), (6, (400, 300)), (3, (300, 400)), (5, (240, 80))])
@pytest.mark.parametrize("seen", [(CIFAR10, DOG), (EVERYDAY, ENGLISH_FOXHOUND)], ids=["occlusion", "exact"])
def test_it_is_bright_where_the_object_is(
    services: Services, worker: HeatmapWorker, seen: tuple[Classifier, int], orientation: int, size: tuple[int, int]
) -> None:
    """Given a dog at the top right, however the file is turned, Then that is where the heatmap is bright."""
    (classifier, label), content = seen, dog_in_the_corner(orientation, *size)
    heatmap = wanted(services, content, services.registry.alias(classifier).version, label)
    assert worker.work()
    png = services.blobs.get(heatmap.blob_key)
    scale = min(1, 256 / max(size))
    assert Image.open(io.BytesIO(png)).size == tuple(round(side * scale) for side in size)
    right, down = centre(png)
    assert right > 0.6 and down < 0.4
    assert not worker.work()
    assert not services.heatmaps.is_pending(heatmap) and services.heatmaps.failure(heatmap) is None


def test_a_picture_that_is_gone(services: Services, worker: HeatmapWorker) -> None:
    heatmap = wanted(services, *pictures(1).values())
    services.blobs.delete([blob_key(heatmap.job_id, heatmap.sha256)])
    assert worker.work()
    assert services.heatmaps.failure(heatmap) == Failure("missing", "the stored image is missing")


def test_a_job_that_is_deleted_while_the_worker_draws(
    services: Services, worker: HeatmapWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    heatmap, draw = wanted(services, *pictures(1).values()), heatmap_worker.draw

    def draw_late(*args) -> bytes:
        services.store.remove(heatmap.job_id, force=True)
        services.delete_bytes(heatmap.job_id)
        return draw(*args)

    monkeypatch.setattr(heatmap_worker, "draw", draw_late)
    assert worker.work()
    failure = services.heatmaps.failure(heatmap)
    assert failure is not None and failure.code == "missing"
    assert services.blobs.keys(job_folder(heatmap.job_id)) == []


def test_a_version_that_no_worker_can_load(services: Services, worker: HeatmapWorker) -> None:
    heatmap = wanted(services, *pictures(1).values(), model=LOST)
    assert worker.work()
    failure = services.heatmaps.failure(heatmap)
    assert failure is not None and failure.code == "model_unusable" and LOST in failure.detail
    other = wanted(services, *pictures(1).values())
    assert worker.work() and services.blobs.exists(other.blob_key)


def test_a_version_that_another_worker_may_have(services: Services, threads: int) -> None:
    queues, worker = (Queue.INTERACTIVE, Queue.BULK), worker_of(services, ModelCache(services.registry, threads))
    services.workers.record_heartbeat(Worker("other", queues, None))
    heatmap = wanted(services, *pictures(1).values(), model=LOST)
    assert worker.work()
    assert services.heatmaps.is_pending(heatmap)
    assert services.messenger.message_count(Queue.INTERACTIVE) == 1
    assert not worker.work()  # it leaves the version to the other one
    services.workers.record_heartbeat(Worker("other", queues, None, (Lack(LOST, "it is not there", 0),)))
    assert worker.work()
    assert not services.heatmaps.is_pending(heatmap)


def test_one_that_kills_workers_is_given_up(services: Services, worker: HeatmapWorker) -> None:
    heatmap = wanted(services, *pictures(1).values())
    for _ in range(MAX_TRIES):
        assert services.heatmaps.claim() is not None
        services.redis.delete(keys.heatmap(heatmap.id))  # the worker died, and the lease expires
        services.heatmaps.ask(heatmap)
    assert worker.work()
    failure = services.heatmaps.failure(heatmap)
    assert failure is not None and failure.code == "crashed"
    services.heatmaps.ask(heatmap)
    assert worker.work() and services.blobs.exists(heatmap.blob_key)


def test_a_storage_that_fails(services: Services, worker: HeatmapWorker) -> None:
    heatmap = wanted(services, *pictures(1).values())
    folder = Path(services.settings.data_dir, "blobs", "jobs", heatmap.job_id)
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(folder)  # a loop: a disk error, not a missing file
    assert worker.work()
    failure = services.heatmaps.failure(heatmap)
    assert failure is not None and failure.code == "unavailable"


def test_a_worker_of_the_other_queues_makes_none(services: Services, worker: HeatmapWorker) -> None:
    heatmap = wanted(services, *pictures(1).values())
    training = replace(worker, queues=(Queue.TRAIN,))
    assert not training.work()
    assert services.heatmaps.is_pending(heatmap)
    wanted(services, *pictures(1).values(), label=1)
    assert worker.work()
    assert services.messenger.message_count(Queue.INTERACTIVE) == 1  # it wakes one for the next
