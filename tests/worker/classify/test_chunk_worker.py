"""A chunk worker claims, classifies and commits a chunk and wakes the next worker; no failure loses an item."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shared.domain.card import OPENVINO_FILE
from shared.domain.entities import CLASSIFICATION_QUEUES, Counts, JobState, Queue, blob_key
from shared.domain.errors import Unavailable
from shared.jobs.chunks import CHUNK_ITEMS, MAX_DEATHS
from shared.jobs.workers import STORAGE, Lack, Worker
from shared.models.registry import SHIPPED, Registry
from shared.models.versions import PublishedVersions
from shared.redis import keys
from shared.services import Services
from tests.conftest import PATIENCE_S, wait_until
from tests.worker.kit import importer, pictures, stored
from worker.classify.chunk_worker import CHUNK_S, MIN_ITEMS, ChunkWorker, next_size
from worker.classify.classifier import Classifier
from worker.data.decode import decode
from worker.serving.models import ModelCache, ModelUnusable
from worker.timings import Timings

BuildWorker = Callable[..., ChunkWorker]


@pytest.fixture
def build(services: Services, threads: int) -> Iterator[BuildWorker]:
    """Return a function that builds a chunk worker, without a heartbeat."""
    with ThreadPoolExecutor(threads) as pool:
        yield lambda queues=CLASSIFICATION_QUEUES, registry=services.registry: ChunkWorker(
            name="worker",
            queues=queues,
            chunks=services.chunks,
            jobs=services.store,
            messenger=services.messenger,
            metrics=services.meters,
            models=ModelCache(registry, threads),
            classifier=Classifier(services.blobs, services.settings.max_pixels, pool),
            importer=importer(services, pool),
            renewing=nullcontext,
            workers=services.workers,
        )


@pytest.fixture
def worker(build: BuildWorker) -> ChunkWorker:
    return build()


def test_a_small_job_is_classified_in_one_chunk(services: Services, worker: ChunkWorker) -> None:
    job_id = stored(services, pictures(5) | {"broken": b"no picture"})
    assert worker.work()
    job = services.store.get(job_id)
    assert (job.state, job.counts) == (JobState.SUCCEEDED, Counts(6, succeeded=5, failed=1))
    assert worker.pace.per_s() == 0.1
    assert len(services.store.item(job_id, "airplane-10").outcome.predictions) == 5
    assert not worker.work()


def test_each_chunk_wakes_one_worker_for_the_next(services: Services, worker: ChunkWorker) -> None:
    first, second = stored(services, pictures(2)), stored(services, pictures(3))
    assert worker.work()
    assert [services.store.get(job).state.done for job in (first, second)] == [True, False]
    assert services.messenger.message_count(Queue.INTERACTIVE) == 1
    assert worker.work()
    assert services.messenger.message_count(Queue.INTERACTIVE) == 1  # no job is waiting
    assert services.store.get(second).state.done


def test_no_worker_is_woken_if_no_job_is_waiting(services: Services, worker: ChunkWorker) -> None:
    stored(services, pictures(2))
    worker.work()
    assert [services.messenger.message_count(queue) for queue in Queue] == [0, 0, 0]


def test_a_worker_of_the_interactive_queue_does_not_claim_bulk_jobs(services: Services, build: BuildWorker) -> None:
    job_id = stored(services, pictures(17))
    assert not build([Queue.INTERACTIVE]).work()
    assert services.store.get(job_id).counts.finished == 0


def test_a_storage_outage_fails_no_item(
    services: Services, worker: ChunkWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.classify.chunk_worker.RETRY_S", 0.01)
    job_id = stored(services, pictures(3))
    folder = services.settings.data_dir / "blobs" / "jobs" / job_id
    hidden = folder.with_name("elsewhere")
    folder.rename(hidden)
    folder.symlink_to(folder)  # a loop: a disk error, not a missing file
    for _ in range(MAX_DEATHS + 1):
        assert worker.work()
    assert services.store.get(job_id).counts == Counts(3)
    folder.unlink()
    hidden.rename(folder)
    assert worker.work()
    assert services.store.get(job_id).counts == Counts(3, succeeded=3)


def test_a_storage_that_hangs_costs_no_death(
    services: Services, worker: ChunkWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chunk is released before the time limit of its task, and the next ones are smaller."""
    monkeypatch.setattr("worker.classify.chunk_worker.RETRY_S", 0.01)
    monkeypatch.setattr("worker.classify.classifier.READ_S", 0.05)
    job_id = stored(services, pictures(3))
    pipe = services.settings.data_dir / "pipe"
    os.mkfifo(pipe)  # opening it to read waits for a writer
    good = {}
    for file in (services.settings.data_dir / "blobs" / "jobs" / job_id).iterdir():
        good[file] = file.rename(services.settings.data_dir / file.name)
        file.symlink_to(pipe)
    for _ in range(MAX_DEATHS + 1):
        assert worker.work()
    assert services.store.get(job_id).counts == Counts(3)
    assert services.redis.hgetall(keys.job(job_id, "deaths")) == {}
    assert worker.max_items == MIN_ITEMS
    for file, content in good.items():
        file.unlink()
        content.rename(file)
    os.close(os.open(pipe, os.O_RDWR))  # the threads that wait read an empty file
    wait_until(lambda: worker.work() and services.store.get(job_id).state.done, "the job is done")
    assert services.store.get(job_id).counts == Counts(3, succeeded=3)
    assert worker.max_items > MIN_ITEMS


@pytest.mark.parametrize(
    ("limit", "items", "seconds", "expected"),
    [
        (CHUNK_ITEMS, CHUNK_ITEMS, 2 * CHUNK_S, CHUNK_ITEMS // 2),
        (100, 3, 10 * CHUNK_S, MIN_ITEMS),
        (MIN_ITEMS, 1, 10 * CHUNK_S, MIN_ITEMS),
        (64, 64, 0.9 * CHUNK_S, 64),
        (64, 64, 0.1 * CHUNK_S, 128),
        (CHUNK_ITEMS, 1, 0.1 * CHUNK_S, CHUNK_ITEMS),
    ],
)
def test_chunks_are_as_big_as_the_pictures_allow(limit: int, items: int, seconds: float, expected: int) -> None:
    assert next_size(limit, items, seconds) == expected


def test_redis_that_refuses_a_commit_costs_nothing(
    services: Services, worker: ChunkWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a chunk that is classified when Redis refuses writes, then its results are committed later."""
    monkeypatch.setattr("worker.classify.chunk_worker.RETRY_S", 0.01)
    job_id = stored(services, pictures(3))
    chunk = services.chunks.claim("worker", CLASSIFICATION_QUEUES)
    refused: list[str] = []
    commit = services.chunks.commit_all

    def refuse_twice(*words: Any) -> list[bool]:
        services.redis.config_set("min-replicas-to-write", int(len(refused) < 2))
        try:
            return commit(*words)
        except Unavailable as error:
            refused.append(str(error))
            raise

    worker.chunks = SimpleNamespace(commit_all=refuse_twice)
    assert worker.process([chunk], Timings())
    assert len(refused) == 2 and "NOREPLICAS" in refused[0]
    assert services.store.get(job_id).counts == Counts(3, succeeded=3)


def test_a_missing_upload_fails_only_its_item(services: Services, worker: ChunkWorker) -> None:
    job_id = stored(services, pictures(3))
    lost = services.store.item(job_id, "airplane-10").upload
    services.blobs.delete_all(blob_key(job_id, lost.sha256))
    (services.settings.data_dir / "blobs" / blob_key(job_id, lost.sha256)).unlink(missing_ok=True)
    worker.work()
    assert services.store.get(job_id).counts == Counts(3, succeeded=2, failed=1)
    assert services.store.item(job_id, "airplane-10").outcome.failure.code == "missing"


@pytest.mark.parametrize("count", [1, 3])
def test_an_unreadable_upload_fails_only_its_item(services: Services, worker: ChunkWorker, count: int) -> None:
    """Even if it is the only item: the storage works, so a retry would never end."""
    job_id = stored(services, pictures(count))
    sha256 = services.store.item(job_id, "airplane-10").upload.sha256
    file = services.settings.data_dir / "blobs" / blob_key(job_id, sha256)
    file.unlink()
    os.mknod(file, stat.S_IFSOCK | 0o600)  # cannot be opened, not even by root
    worker.work()
    assert services.store.get(job_id).counts == Counts(count, succeeded=count - 1, failed=1)
    assert services.store.item(job_id, "airplane-10").outcome.failure.code == "unreadable"


def test_an_unusable_model_fails_its_job_with_a_reason(services: Services, build: BuildWorker, tmp_path: Path) -> None:
    version = services.registry.champion().version
    shutil.copytree(SHIPPED / version, tmp_path / "models" / version)
    (tmp_path / "models" / version / OPENVINO_FILE).write_bytes(b"damaged")
    worker = build(registry=Registry(tmp_path / "models"))
    job_id = stored(services, pictures(2))
    assert worker.work()
    job = services.store.get(job_id)
    assert (job.state, job.counts) == (JobState.FAILED, Counts(2, failed=2))
    assert job.failure is not None
    assert (job.failure.code, version in job.failure.detail) == ("model_unusable", True)
    assert services.store.item(job_id, "airplane-10").outcome.failure == job.failure
    assert services.store.retry(job_id) == 2


def test_a_worker_leaves_models_that_it_lacks_to_others(services: Services, build: BuildWorker, tmp_path: Path) -> None:
    """Given two workers of which one has no models, then the other one does the job, and nothing fails."""
    (tmp_path / "models").mkdir()
    poor, rich = build(registry=Registry(tmp_path / "models")), build()
    services.workers.record_heartbeat(Worker("rich", ("interactive", "bulk"), None))
    job_id = stored(services, pictures(3))
    assert poor.work()
    assert not poor.work(), "it does not claim the job again"
    assert services.store.get(job_id).state is JobState.RUNNING
    assert rich.work()
    assert services.store.get(job_id).counts == Counts(3, succeeded=3)
    assert services.redis.hgetall(keys.job(job_id, "deaths")) == {}


def test_a_job_fails_if_no_live_worker_has_its_model(services: Services, build: BuildWorker, tmp_path: Path) -> None:
    """Given other workers that lack it, serve other queues or use another storage."""
    (tmp_path / "models").mkdir()
    job_id = stored(services, pictures(3))
    version = services.registry.champion().version
    for name, queue, lack in (("a", "bulk", version), ("b", "train", "cifar10"), ("c", "interactive", STORAGE)):
        services.workers.record_heartbeat(Worker(name, (queue,), None, (Lack(lack, "it is away", 0),)))
    assert build(registry=Registry(tmp_path / "models")).work()
    assert services.store.get(job_id).failure.code == "model_unusable"


def test_a_job_fails_if_all_workers_have_failed_to_load_its_model_before(
    services: Services, build: BuildWorker, tmp_path: Path
) -> None:
    """Given workers that try a broken champion again and again, then its jobs do not wait for another worker."""
    (tmp_path / "models").mkdir()
    worker, version = build(registry=Registry(tmp_path / "models")), services.registry.champion().version
    with pytest.raises(ModelUnusable):
        worker.models.get(version)
    services.workers.record_heartbeat(Worker("other", ("interactive", "bulk"), None, (Lack(version, "broken", 0),)))
    job_id = stored(services, pictures(3))
    assert worker.work()
    assert services.store.get(job_id).failure.code == "model_unusable"


def test_a_version_that_ships_elsewhere_is_fetched(services: Services, build: BuildWorker, tmp_path: Path) -> None:
    """Given a shipped version that is published, then a worker on whose machine it does not ship can load it."""
    (tmp_path / "models").mkdir()
    services.registry.publish_shipped()
    published = PublishedVersions(services.blobs, tmp_path / "cache")
    job_id = stored(services, pictures(3))
    assert build(registry=Registry(tmp_path / "models", published)).work()
    assert services.store.get(job_id).counts == Counts(3, succeeded=3)


def test_unexpected_errors_count_as_deaths_up_to_a_limit(services: Services, worker: ChunkWorker) -> None:
    """A record that the code cannot handle must not be retried forever. Here the job has no model."""
    job_id = stored(services, pictures(1))
    services.redis.hdel(keys.job(job_id), "model")
    chunks = 0
    while worker.work():
        chunks += 1
    assert chunks == MAX_DEATHS
    assert services.store.get(job_id).state is JobState.SUCCEEDED
    assert services.store.item(job_id, "airplane-10").outcome.failure.code == "crashed"


def test_removing_a_job_does_not_stop_its_worker(services: Services, worker: ChunkWorker) -> None:
    gone, kept = stored(services, pictures(2)), stored(services, pictures(2))
    chunk = services.chunks.claim("worker", CLASSIFICATION_QUEUES)
    services.store.remove(gone, force=True)
    services.delete_bytes(gone)
    worker.process([chunk], Timings())
    assert worker.work()
    assert services.store.get(kept).counts == Counts(2, succeeded=2)


def test_a_claimed_chunk_of_a_cancelled_job_is_still_committed(services: Services, worker: ChunkWorker) -> None:
    job_id = stored(services, pictures(2), sealed=False)
    chunk = services.chunks.claim("worker", CLASSIFICATION_QUEUES)
    services.store.cancel(job_id)
    worker.process([chunk], Timings())
    job = services.store.get(job_id)
    assert (job.state, job.counts) == (JobState.CANCELLED, Counts(2, succeeded=2))


def singles(services: Services, contents: dict[str, bytes]) -> dict[str, str]:
    """Create a job of each picture; return its id by the picture's key."""
    return {key: stored(services, {key: content}) for key, content in contents.items()}


def test_jobs_of_one_picture_are_classified_in_one_pass(
    services: Services, worker: ChunkWorker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture that cannot be read or decoded fails alone; each job gets the answer that it gets alone."""
    good = pictures(6)
    monkeypatch.setattr("shared.jobs.chunks.TOGETHER_SHARE", 1)
    model, passes = worker.models.get(services.registry.champion().version), []

    def counting(images: Any) -> Any:
        passes.append(len(images))
        return model.answer(images)

    worker.models = SimpleNamespace(get=lambda _: replace(model, answer=counting), lacks=worker.models.lacks)
    jobs = singles(services, {"broken": b"no picture", "lost": b"lost"} | good)
    lost = services.store.item(jobs["lost"], "lost").upload
    (services.settings.data_dir / "blobs" / blob_key(jobs["lost"], lost.sha256)).unlink()
    with caplog.at_level("INFO"):
        assert worker.work() and not worker.work()
    assert passes == [6]
    codes = {key: services.store.item(jobs[key], key).outcome.failure for key in jobs}
    assert {key: failure.code for key, failure in codes.items() if failure} == {
        "broken": "unsupported_format",
        "lost": "missing",
    }
    assert sum(record.getMessage() == "chunk committed" for record in caplog.records) == 8
    for key in good:
        alone = stored(services, {key: good[key]})
        assert worker.work()
        mine, others = (services.store.item(job_id, key).outcome.predictions for job_id in (jobs[key], alone))
        assert [each.index for each in mine] == [each.index for each in others]
        assert [each.score for each in mine] == pytest.approx([each.score for each in others], abs=1e-5)


def test_a_slow_picture_does_not_delay_the_jobs_that_it_was_claimed_with(
    services: Services, worker: ChunkWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does a storage that fails for one of them; its job is tried again by itself."""
    monkeypatch.setattr("worker.classify.chunk_worker.RETRY_S", 0.01)
    monkeypatch.setattr("shared.jobs.chunks.TOGETHER_SHARE", 1)
    monkeypatch.setattr("worker.classify.classifier.TOGETHER_S", 0.5)
    monkeypatch.setattr("worker.classify.classifier.READ_S", 0.05)
    jobs = singles(services, pictures(4))
    *_, slow = jobs
    folder = services.settings.data_dir / "blobs" / "jobs" / jobs[slow]
    (file,) = folder.iterdir()
    content = file.read_bytes()
    file.unlink()
    os.mkfifo(file)  # opening it to read waits for a writer
    assert worker.work()
    assert [services.store.get(job_id).state.done for job_id in jobs.values()] == [True, True, True, False]
    assert services.redis.hgetall(keys.job(jobs[slow], "deaths")) == {}
    writer = os.open(file, os.O_RDWR)  # the threads that wait read what it writes
    os.write(writer, content)
    os.close(writer)
    file.unlink()
    file.write_bytes(content)
    monkeypatch.setattr("worker.classify.classifier.READ_S", PATIENCE_S)
    wait_until(lambda: worker.work() and services.store.get(jobs[slow]).state.done, "the job is done")
    assert services.store.get(jobs[slow]).counts == Counts(1, succeeded=1)


def test_an_unexpected_error_of_jobs_together_is_one_of_each_alone(
    services: Services, worker: ChunkWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a picture whose decoding raises anything, then it fails in the end, and the others are classified."""
    contents = pictures(4)
    bad = next(iter(contents))

    def decode_or_raise(data: bytes, *how: Any) -> Any:
        if data == contents[bad]:
            raise ZeroDivisionError
        return decode(data, *how)

    monkeypatch.setattr("shared.jobs.chunks.TOGETHER_SHARE", 1)
    monkeypatch.setattr("worker.classify.classifier.decode", decode_or_raise)
    jobs = singles(services, contents)
    while worker.work():
        pass
    assert services.store.item(jobs.pop(bad), bad).outcome.failure.code == "crashed"
    assert [services.store.get(job_id).counts for job_id in jobs.values()] == [Counts(1, succeeded=1)] * 3
