"""The reconciler repairs lost chunks, lost messages and interrupted stops, and deletes expired jobs and orphans."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.domain.entities import JOBS_FOLDER, Counts, Failure, ItemState, JobState, Queue, blob_key, job_folder
from shared.domain.errors import NotFound
from shared.jobs.chunks import MAX_DEATHS
from shared.jobs.messenger import MAX_MESSAGES
from shared.jobs.rounds import RECONCILE
from shared.redis import keys
from shared.redis.connection import Client, Scripts, now_ms
from shared.services import Services
from tests.conftest import ROOT, START_STOP_S, wait_until
from tests.worker.kit import pictures, put, stored
from worker.reconcile.orphans import remove_orphans
from worker.reconcile.reconciler import BATCH, WAKE_MESSAGES, Reconciler, wake_if_due

BOTH = [Queue.INTERACTIVE, Queue.BULK]


def reconcile(services: Services) -> None:
    Reconciler(services.chunks, services.store, services.messenger, services.delete_bytes).run()


def collect_orphans(services: Services) -> None:
    retention_s = services.settings.retention_hours * 3600
    remove_orphans(services.blobs, services.store, services.dataset_sweep, retention_s)


def lapse(redis: Client, chunk_id: str) -> None:
    redis.zadd(keys.LEASES, {chunk_id: now_ms(redis) - 1}, xx=True)


def make_due(redis: Client, job_id: str) -> None:
    redis.zadd(keys.EXPIRING, {job_id: now_ms(redis) - 1}, xx=True)


def files(services: Services) -> list[str]:
    return [path.name for path in (services.settings.data_dir / "blobs").rglob("*") if path.is_file()]


def test_a_round_without_work_writes_nothing(services: Services, redis_client: Client) -> None:
    reconcile(services)
    assert list(redis_client.scan_iter()) == []


def test_an_expired_lease_releases_the_chunk_and_wakes_workers(services: Services, redis_client: Client) -> None:
    job_id = stored(services, pictures(3))
    held = services.chunks.claim("lost", BOTH)
    reconcile(services)
    assert services.messenger.message_count(Queue.INTERACTIVE) == 0  # its lease still holds
    lapse(redis_client, held.id)
    reconcile(services)
    assert services.messenger.message_count(Queue.INTERACTIVE) == WAKE_MESSAGES
    assert services.store.get(job_id).counts == Counts(3)
    assert services.chunks.claim("other", BOTH).uploads == held.uploads
    assert not services.chunks.renew(held.id)


def test_an_item_fails_after_too_many_worker_deaths(services: Services, redis_client: Client) -> None:
    job_id = stored(services, pictures(1))
    for _ in range(MAX_DEATHS):
        lapse(redis_client, services.chunks.claim("doomed", BOTH).id)
        reconcile(services)
    job = services.store.get(job_id)
    assert (job.state, job.counts) == (JobState.SUCCEEDED, Counts(1, failed=1))


def test_messages_are_sent_only_to_empty_queues(services: Services, redis_client: Client) -> None:
    stored(services, pictures(2))
    stored(services, pictures(20))
    reconcile(services)
    reconcile(services)
    assert [services.messenger.message_count(queue) for queue in BOTH] == [WAKE_MESSAGES] * 2
    assert services.messenger.message_count(Queue.TRAIN) == 0
    client = services.messenger._redis
    client.delete(Queue.BULK)
    reconcile(services)
    assert [services.messenger.message_count(queue) for queue in BOTH] == [WAKE_MESSAGES] * 2
    assert redis_client.zcard(keys.READY["bulk"]) == 1


def test_a_report_that_is_due_wakes_one_worker(services: Services) -> None:
    wake_if_due(services.reports, services.messenger, Queue.TRAIN)
    assert services.messenger.message_count(Queue.TRAIN) == 0
    services.reports.ask("a" * 32)
    for _ in range(2):
        wake_if_due(services.reports, services.messenger, Queue.TRAIN)
        assert services.messenger.message_count(Queue.TRAIN) == 1


def test_an_abandoned_open_job_is_cancelled(services: Services, redis_client: Client) -> None:
    job_id, other = stored(services, pictures(2), sealed=False), stored(services, pictures(1), sealed=False)
    make_due(redis_client, job_id)
    reconcile(services)
    job = services.store.get(job_id)
    assert (job.state, job.counts) == (JobState.CANCELLED, Counts(2, cancelled=2))
    assert services.store.get(other).state is JobState.OPEN


def test_an_unlisted_job_of_a_broken_request_is_deleted(services: Services, redis_client: Client) -> None:
    job_id = services.store.create("classification", retention_s=3600, listed=False)
    services.store.add(job_id, put(services, job_id, pictures(2)), 10)
    make_due(redis_client, job_id)
    reconcile(services)
    with pytest.raises(NotFound):
        services.store.get(job_id)
    assert files(services) == []
    assert not [key for key in redis_client.scan_iter() if job_id in key]


def test_an_expired_job_is_deleted(services: Services, redis_client: Client) -> None:
    old, kept = stored(services, pictures(2)), stored(services, pictures(1))
    for job_id in (old, kept):
        services.store.cancel(job_id)
    make_due(redis_client, old)
    reconcile(services)
    with pytest.raises(NotFound):
        services.store.get(old)
    (upload,) = [item.upload for item in services.results.items(kept, 5).items]
    assert files(services) == [upload.sha256]
    assert services.store.removing() == []


def test_an_interrupted_removal_is_finished(services: Services) -> None:
    job_id = stored(services, pictures(2))
    services.store.remove(job_id, force=True)  # then the process was killed
    assert len(files(services)) == 2
    reconcile(services)
    assert (files(services), services.store.removing()) == ([], [])


@pytest.mark.parametrize(("ending", "state"), [("cancelled", JobState.CANCELLED), ("failed", JobState.FAILED)])
def test_an_interrupted_stop_is_finished(
    services: Services, redis_client: Client, ending: str, state: JobState
) -> None:
    """The caller was killed after the first of several script calls."""
    job_id = stored(services, pictures(5))
    failure = '{"code":"x","detail":"y"}' if ending == "failed" else ""
    assert Scripts(redis_client).run("stop", job_id, ending, failure, 2) == 3
    assert not services.store.get(job_id).state.done
    reconcile(services)
    job = services.store.get(job_id)
    assert (job.state, job.counts.finished) == (state, 5)
    assert job.failure == (Failure("x", "y") if failure else None)
    assert {item.state for item in services.results.items(job_id, 9).items} == {ItemState(ending)}
    reconcile(services)
    assert services.store.get(job_id) == job


def test_a_stop_waits_for_claimed_chunks(services: Services, redis_client: Client) -> None:
    job_id = stored(services, pictures(2))
    services.chunks.claim("worker", BOTH)
    services.store.cancel(job_id)
    before = services.store.get(job_id)
    for _ in range(2):
        reconcile(services)
    assert services.store.get(job_id) == before
    assert redis_client.zscore(keys.EXPIRING, job_id) is None


def test_concurrent_reconcilers_do_not_interfere(services: Services, redis_client: Client) -> None:
    lost, old = stored(services, pictures(3)), stored(services, pictures(3))
    services.store.cancel(old)
    make_due(redis_client, old)
    lapse(redis_client, services.chunks.claim("lost", BOTH).id)
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(reconcile, services) for _ in range(8)]:
            done.result()
    assert services.store.get(lost).counts == Counts(3)
    assert redis_client.llen(keys.job(lost, "pending")) == 3
    assert services.messenger.message_count(Queue.INTERACTIVE) <= MAX_MESSAGES
    assert services.store.removing() == []
    assert not services.blobs.exists(blob_key(old, "x"))


def test_old_uploads_of_unknown_jobs_are_deleted(services: Services) -> None:
    kept, lost, fresh = (stored(services, pictures(2)) for _ in range(3))
    over = time.time() - services.settings.retention_hours * 3600 - 60
    for job_id in (kept, lost):
        for path in (services.settings.data_dir / "blobs" / job_folder(job_id)).iterdir():
            os.utime(path, (over, over))
    for job_id in (lost, fresh):
        services.redis.delete(keys.job(job_id))
    collect_orphans(services)
    assert set(services.blobs.folders(JOBS_FOLDER)) == {kept, fresh}


def test_old_incomplete_versions_and_scratch_folders_are_deleted(services: Services) -> None:
    over = time.time() - services.settings.retention_hours * 3600 - 60
    folder = services.settings.data_dir
    for name in ("whole", "torn", "new"):
        services.blobs.put(f"models/{name}/model.keras", b"model")
        (folder / f"publish-{name}").mkdir()
    services.blobs.put("models/whole/card.json", b"{}")
    for path in (*(folder / "blobs" / "models").glob("[wt]*/*"), folder / "publish-torn"):
        os.utime(path, (over, over))
    collect_orphans(services)
    assert set(services.blobs.folders("models")) == {"whole", "new"}
    assert {path.name for path in folder.glob("publish-*")} == {"publish-whole", "publish-new"}


def test_the_process_reconciles_until_sigterm(
    services: Services, redis_client: Client, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_REDIS_URL", redis_url)
    monkeypatch.setenv("DARKROOM_DATA_DIR", str(services.settings.data_dir))
    stored(services, pictures(1))
    process = subprocess.Popen([sys.executable, "-m", "worker.reconcile"], cwd=ROOT)
    try:
        wait_until(lambda: services.messenger.message_count(Queue.INTERACTIVE), "a worker is woken")
        wait_until(lambda: services.rounds.silent_s()[RECONCILE] < START_STOP_S, "the program is seen")
        process.send_signal(signal.SIGTERM)
        assert process.wait(START_STOP_S) == 0
    finally:
        process.kill()
        process.wait()
    assert redis_client.zcard(keys.READY["interactive"]) == 1


def test_a_round_removes_more_jobs_than_it_reads_at_a_time(services: Services, redis_client: Client) -> None:
    jobs = [stored(services, pictures(1)) for _ in range(BATCH + 1)]
    for job_id in jobs:
        services.store.cancel(job_id)
        make_due(redis_client, job_id)
    reconcile(services)
    assert not any(map(services.store.exists, jobs))
    assert files(services) == []
