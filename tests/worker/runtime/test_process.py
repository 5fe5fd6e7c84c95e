"""One turn of a worker: it claims, classifies, commits and wakes the next; whatever goes wrong, no item is lost."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from shared.domain.card import OPENVINO_FILE
from shared.domain.entities import Counts, JobState, Queue, blob_key
from shared.jobs.chunks import HEARTBEAT_S, LEASE_S, MAX_DEATHS
from shared.models.registry import SHIPPED, Registry
from shared.redis import keys
from shared.redis.connection import Client, now_ms
from shared.services import Services
from tests.conftest import wait_until
from tests.worker.kit import pictures, stored
from worker.classify.timings import Timings
from worker.runtime.heartbeat import Heartbeat
from worker.runtime.process import WorkerProcess, threads_per_process

BOTH = [Queue.INTERACTIVE, Queue.BULK]


@pytest.fixture
def worker(services: Services) -> Iterator[WorkerProcess]:
    """A worker process's parts in this process, without its heartbeat."""
    worker = WorkerProcess(services, BOTH)
    yield worker
    worker.classifier.pool.shutdown()


def test_a_turn_classifies_a_whole_small_job(services: Services, worker: WorkerProcess) -> None:
    job_id = stored(services, pictures(5) | {"broken": b"no picture"})
    assert worker.work()
    job = services.store.get(job_id)
    assert (job.state, job.counts) == (JobState.SUCCEEDED, Counts(6, succeeded=5, failed=1))
    assert len(services.store.item(job_id, "airplane-10").outcome.predictions) == 5
    assert not worker.work()


def test_a_turn_works_on_one_chunk_and_wakes_somebody_for_the_next(services: Services, worker: WorkerProcess) -> None:
    first, second = stored(services, pictures(2)), stored(services, pictures(3))
    assert worker.work()
    assert [services.store.get(job).state.done for job in (first, second)] == [True, False]
    assert services.messenger.message_count(Queue.INTERACTIVE) == 1
    assert worker.work()
    assert services.messenger.message_count(Queue.INTERACTIVE) == 1  # nobody needs a second one
    assert services.store.get(second).state.done


def test_nobody_is_woken_where_nothing_waits(services: Services, worker: WorkerProcess) -> None:
    stored(services, pictures(2))
    worker.work()
    assert [services.messenger.message_count(queue) for queue in Queue] == [0, 0, 0]


def test_a_worker_for_small_jobs_takes_no_others(services: Services) -> None:
    small = WorkerProcess(services, [Queue.INTERACTIVE])
    job_id = stored(services, pictures(17))
    assert not small.work()
    assert services.store.get(job_id).counts.finished == 0
    small.classifier.pool.shutdown()


def test_a_storage_that_cannot_be_reached_costs_no_item_its_life(
    services: Services, worker: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.runtime.process.RETRY_S", 0.01)
    job_id = stored(services, pictures(3))
    folder = services.settings.data_dir / "blobs" / "jobs" / job_id
    hidden = folder.with_name("elsewhere")
    folder.rename(hidden)
    folder.symlink_to(folder)  # a loop: an error of the disk, not a file that is missing
    for _ in range(MAX_DEATHS + 1):
        assert worker.work()
    assert services.store.get(job_id).counts == Counts(3)
    folder.unlink()
    hidden.rename(folder)
    assert worker.work()
    assert services.store.get(job_id).counts == Counts(3, succeeded=3)


def test_a_picture_that_is_gone_fails_alone(services: Services, worker: WorkerProcess) -> None:
    job_id = stored(services, pictures(3))
    lost = services.store.item(job_id, "airplane-10").upload
    services.blobs.delete_all(blob_key(job_id, lost.sha256))
    (services.settings.data_dir / "blobs" / blob_key(job_id, lost.sha256)).unlink(missing_ok=True)
    worker.work()
    assert services.store.get(job_id).counts == Counts(3, succeeded=2, failed=1)
    assert services.store.item(job_id, "airplane-10").outcome.failure.code == "missing"


@pytest.mark.parametrize("count", [1, 3])
def test_a_picture_that_cannot_be_read_fails_alone(services: Services, worker: WorkerProcess, count: int) -> None:
    """Also where it is the only one: the storage works, so waiting for it would never end."""
    job_id = stored(services, pictures(count))
    sha256 = services.store.item(job_id, "airplane-10").upload.sha256
    file = services.settings.data_dir / "blobs" / blob_key(job_id, sha256)
    file.unlink()
    os.mknod(file, stat.S_IFSOCK | 0o600)  # cannot be opened, not by root either
    worker.work()
    assert services.store.get(job_id).counts == Counts(count, succeeded=count - 1, failed=1)
    assert services.store.item(job_id, "airplane-10").outcome.failure.code == "unreadable"


def test_a_model_that_cannot_serve_fails_its_job_and_says_why(services: Services, tmp_path: Path) -> None:
    version = services.registry.champion().version
    shutil.copytree(SHIPPED / version, tmp_path / "models" / version)
    (tmp_path / "models" / version / OPENVINO_FILE).write_bytes(b"damaged")
    worker = WorkerProcess(replace(services, registry=Registry(tmp_path / "models")), BOTH)
    job_id = stored(services, pictures(2))
    assert worker.work()
    job = services.store.get(job_id)
    assert (job.state, job.counts) == (JobState.FAILED, Counts(2, failed=2))
    assert job.failure is not None
    assert (job.failure.code, version in job.failure.detail) == ("model_unusable", True)
    assert services.store.item(job_id, "airplane-10").outcome.failure == job.failure
    assert services.store.retry(job_id) == 2
    worker.classifier.pool.shutdown()


def test_a_fault_of_the_worker_counts_as_a_death_and_ends_after_some(services: Services, worker: WorkerProcess) -> None:
    """A record that the code cannot handle must not come back for ever: here a model that is no name at all."""
    job_id = stored(services, pictures(1))
    services.store._redis.hdel(keys.job(job_id), "model")
    turns = 0
    while worker.work():
        turns += 1
    assert turns == MAX_DEATHS
    assert services.store.get(job_id).state is JobState.SUCCEEDED
    assert services.store.item(job_id, "airplane-10").outcome.failure.code == "crashed"


def test_a_job_that_is_removed_meanwhile_does_not_stop_the_worker(services: Services, worker: WorkerProcess) -> None:
    gone, kept = stored(services, pictures(2)), stored(services, pictures(2))
    chunk = services.chunks.claim("worker", BOTH)
    services.store.remove(gone, force=True)
    services.delete_bytes(gone)
    worker._finish(chunk, Timings())
    assert worker.work()
    assert services.store.get(kept).counts == Counts(2, succeeded=2)


def test_a_cancelled_job_keeps_what_was_in_hand(services: Services, worker: WorkerProcess) -> None:
    job_id = stored(services, pictures(2), sealed=False)
    chunk = services.chunks.claim("worker", BOTH)
    services.store.cancel(job_id)
    worker._finish(chunk, Timings())
    job = services.store.get(job_id)
    assert (job.state, job.counts) == (JobState.CANCELLED, Counts(2, succeeded=2))


def test_a_started_worker_is_seen_with_its_model_and_a_stopped_one_is_not(services: Services) -> None:
    worker = WorkerProcess(services, BOTH)
    worker.start()
    (seen,) = wait_until(services.workers.alive, "the worker is seen")
    assert seen.name == f"{socket.gethostname()}:{os.getpid()}"
    assert (seen.queues, seen.model) == (("interactive", "bulk"), services.registry.champion().version)
    worker.stop()
    assert services.workers.alive() == []


def test_the_pulse_holds_a_chunk_as_long_as_it_is_worked_on(services: Services, redis_client: Client) -> None:
    stored(services, pictures(1))
    chunk = services.chunks.claim("worker", BOTH)
    worker = WorkerProcess(services, BOTH)
    heartbeat = Heartbeat(services.workers, services.chunks, worker.describe)

    def left_ms() -> float:
        return redis_client.zscore(keys.LEASES, chunk.id) - now_ms(redis_client)

    with heartbeat.renewing(chunk.id):
        redis_client.zadd(keys.LEASES, {chunk.id: now_ms(redis_client) - 1})
        heartbeat.start()
        wait_until(lambda: left_ms() > 0, "the lease is renewed", HEARTBEAT_S)
        redis_client.zadd(keys.LEASES, {chunk.id: now_ms(redis_client) + HEARTBEAT_S * 2000})
        wait_until(lambda: left_ms() > (LEASE_S - HEARTBEAT_S) * 1000, "it is renewed again", HEARTBEAT_S * 3)
    redis_client.zadd(keys.LEASES, {chunk.id: now_ms(redis_client) - 1})
    heartbeat.stop()
    assert services.chunks.expired_leases(5) == [chunk.id]
    worker.classifier.pool.shutdown()


def test_threads_and_processes_share_the_cores() -> None:
    cores = len(os.sched_getaffinity(0))
    assert threads_per_process(1) == cores
    assert threads_per_process(cores) == 1
    assert threads_per_process(10 * cores) == 1
