"""A worker process is listed while it runs and renews the lease of its chunk."""

from __future__ import annotations

import os
import re
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.domain.entities import CLASSIFICATION_QUEUES, JobState
from shared.jobs.chunks import HEARTBEAT_S, LEASE_S
from shared.jobs.workers import STORAGE, Worker, queues_without_workers
from shared.redis import keys
from shared.redis.connection import Client, now_ms
from shared.services import Services
from tests.conftest import PATIENCE_S, wait_until
from tests.worker.kit import pictures, put, stored
from worker.runtime.heartbeat import Heartbeat
from worker.runtime.process import WorkerProcess, threads_per_process


def test_a_worker_is_listed_with_its_model_until_it_stops(services: Services) -> None:
    worker = WorkerProcess(services, CLASSIFICATION_QUEUES)
    worker.start()
    (listed,) = wait_until(services.workers.alive, "the worker is listed")
    assert re.fullmatch(rf"{re.escape(socket.gethostname())}:{os.getpid()}:[0-9a-f]{{4}}", listed.name)
    assert (listed.queues, listed.model) == (("interactive", "bulk"), services.registry.champion().version)
    worker.stop()
    assert services.workers.alive() == []


def test_heartbeats_renew_the_leases_of_the_current_chunks(services: Services, redis_client: Client) -> None:
    for _ in range(4):
        stored(services, pictures(1))
    ids = [chunk.id for chunk in services.chunks.claim_together("worker", CLASSIFICATION_QUEUES)]
    heartbeat = Heartbeat(services.workers, services.chunks, lambda: Worker("worker", (), None))

    def left_ms() -> float:
        return min(redis_client.zscore(keys.LEASES, each) for each in held) - now_ms(redis_client)

    def end_in(milliseconds: float) -> None:
        redis_client.zadd(keys.LEASES, dict.fromkeys(ids, now_ms(redis_client) + milliseconds))

    held = set(ids)
    with heartbeat.renewing(held):
        end_in(-1)
        heartbeat.start()
        wait_until(lambda: left_ms() > 0, "the leases are renewed")
        held.discard(ids[0])  # it is committed
        end_in(HEARTBEAT_S * 2000)
        wait_until(lambda: left_ms() > (LEASE_S - HEARTBEAT_S) * 1000, "the other one is renewed again")
        assert redis_client.zscore(keys.LEASES, ids[0]) - now_ms(redis_client) < HEARTBEAT_S * 2000
    end_in(-1)
    heartbeat.stop()
    assert sorted(services.chunks.expired_leases(5)) == sorted(ids)


def test_one_message_is_enough_for_many_small_jobs(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.runtime.process.LOOP_S", PATIENCE_S)
    jobs = [stored(services, pictures(2)) for _ in range(3)]
    worker = WorkerProcess(services, CLASSIFICATION_QUEUES)
    worker.work_on_pictures()
    assert [services.store.get(job_id).state for job_id in jobs] == [JobState.SUCCEEDED] * 3
    monkeypatch.setattr("worker.runtime.process.LOOP_S", 0)
    jobs = [stored(services, pictures(2)) for _ in range(2)]
    worker.work_on_pictures()
    assert Counter(services.store.get(job_id).state for job_id in jobs) == {JobState.SUCCEEDED: 1, JobState.QUEUED: 1}
    worker._pool.shutdown()


def test_a_process_that_lingers_needs_no_message_for_the_next_small_job(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a process that lingers until after LOOP_S, when a job wakes it, then it works on that job."""
    monkeypatch.setattr("worker.runtime.process.LOOP_S", 0.05)
    monkeypatch.setattr("worker.runtime.process.LINGER_S", 1)
    worker, jobs = WorkerProcess(services, CLASSIFICATION_QUEUES), list[str]()

    def was_woken() -> bool:
        """Let the process handle one message; submit a job meanwhile, and return whether that woke the process."""
        while worker.chunks.work():
            pass
        late = time.monotonic() + 0.2
        with ThreadPoolExecutor(1) as pool:
            pool.submit(worker.work_on_pictures)
            wait_until(lambda: time.monotonic() > late, "its time is up")
            jobs.append(stored(services, {}, sealed=False))
            return services.store.add_last(jobs[-1], put(services, jobs[-1], pictures(2)), 1000)

    wait_until(was_woken, "a job wakes the process")
    assert services.store.get(jobs[-1]).state is JobState.SUCCEEDED
    worker._pool.shutdown()


def test_processes_share_the_cores() -> None:
    cores = len(os.sched_getaffinity(0))
    assert threads_per_process(1) == cores
    assert threads_per_process(cores) == 1
    assert threads_per_process(10 * cores) == 1


def test_a_worker_with_another_storage_claims_nothing(
    services: Services, redis_client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so once, in the log and in its heartbeat, and does not count as a worker of its queues."""
    monkeypatch.setattr("worker.runtime.process.IDLE_S", 0)
    worker = WorkerProcess(services, CLASSIFICATION_QUEUES)
    redis_client.set(keys.STORAGE_ID, "another")
    assert [worker.may_work() for _ in range(3)] == [False] * 3
    (line,) = [record.getMessage() for record in caplog.records]
    assert "set DARKROOM_STORAGE_URL" in line
    (lack,) = worker.describe().lacks
    assert (lack.what, lack.reason in line) == (STORAGE, True)
    services.workers.record_heartbeat(worker.describe())
    assert queues_without_workers(["bulk"], services.workers.alive()) == ["bulk"]
    redis_client.delete(keys.STORAGE_ID)
    assert worker.may_work() and worker.describe().lacks == ()
    worker._pool.shutdown()
