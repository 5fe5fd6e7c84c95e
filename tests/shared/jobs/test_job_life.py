"""The life cycle of a job: open → queued → running → succeeded, failed or cancelled, and retries."""

import pytest

from shared.domain.entities import Counts, Failure, ItemState, JobState
from shared.domain.errors import Conflict
from shared.jobs.store import SCRIPT_BATCH
from shared.redis.connection import now_ms
from tests.shared.kit import REFUSED, RINGS, UNREADABLE, Kit, names, sure, upload, uploads

BROKEN = Failure("model_unusable", 'the file of model "näht-1" is damaged: {"a": /b}')


def test_a_job_goes_from_open_to_succeeded(kit: Kit) -> None:
    job = kit.open_job(uploads(2))
    assert kit.store.get(job).state is JobState.OPEN
    kit.store.seal(job)
    assert kit.store.get(job).state is JobState.QUEUED
    chunk = kit.claim()
    running = kit.store.get(job)
    assert (running.state, running.finished_at) == (JobState.RUNNING, None)
    kit.finish(chunk)
    done = kit.store.get(job)
    assert (done.state, kit.counted(job)) == (JobState.SUCCEEDED, Counts(2, succeeded=2))
    assert running.started_at is not None
    assert done.started_at == running.started_at <= done.finished_at <= now_ms(kit.redis) / 1000
    assert done.expires_at == pytest.approx(done.finished_at + 3600)


def test_a_job_of_broken_images_succeeds(kit: Kit) -> None:
    job = kit.sealed_job(uploads(2))
    kit.finish(kit.claim(), UNREADABLE)
    assert (kit.store.get(job).state, kit.counted(job)) == (JobState.SUCCEEDED, Counts(2, failed=2))


def test_an_open_job_is_processed_but_does_not_end(kit: Kit) -> None:
    job = kit.open_job(uploads(2))
    kit.work_off()
    assert (kit.store.get(job).state, kit.counted(job)) == (JobState.OPEN, Counts(2, succeeded=2))
    kit.store.seal(job)
    assert kit.store.get(job).state is JobState.SUCCEEDED


def test_a_job_sealed_during_processing_is_running(kit: Kit) -> None:
    job = kit.open_job(uploads(2))
    chunk = kit.claim()
    kit.store.seal(job)
    assert kit.store.get(job).state is JobState.RUNNING
    kit.finish(chunk)
    assert kit.store.get(job).state is JobState.SUCCEEDED


@pytest.mark.parametrize("sealed", [True, False])
def test_a_queued_job_is_cancelled_at_once(kit: Kit, sealed: bool) -> None:
    job = (kit.sealed_job if sealed else kit.open_job)([*uploads(3), upload("bad", failure=REFUSED)])
    assert kit.store.cancel(job)
    assert kit.store.get(job).state is JobState.CANCELLED
    assert kit.counted(job) == Counts(4, failed=1, cancelled=3)
    assert kit.chunks.claim("worker", RINGS) is None
    assert not kit.store.cancel(job)


def test_an_empty_job_can_be_cancelled(kit: Kit) -> None:
    job = kit.open_job()
    assert kit.store.cancel(job)
    assert kit.store.get(job).state is JobState.CANCELLED


def test_cancelling_lets_claimed_chunks_finish(kit: Kit) -> None:
    job = kit.open_job(uploads(2, "early"))
    chunk = kit.claim()
    kit.store.add(job, uploads(3, "late"), 10)
    assert kit.store.cancel(job)
    assert kit.store.get(job).state is JobState.CANCELLING
    assert kit.counted(job) == Counts(5, cancelled=3)
    assert kit.chunks.claim("worker", RINGS) is None
    kit.finish(chunk)
    assert kit.store.get(job).state is JobState.CANCELLED
    assert kit.counted(job) == Counts(5, succeeded=2, cancelled=3)
    assert kit.states(job)["early0"] is ItemState.SUCCEEDED


@pytest.mark.parametrize("died", [True, False])
def test_a_chunk_released_to_a_cancelled_job_is_cancelled(kit: Kit, died: bool) -> None:
    job = kit.sealed_job(uploads(2))
    chunk = kit.claim()
    kit.store.cancel(job)
    assert kit.chunks.release(chunk.id, died=died) == 2
    assert (kit.store.get(job).state, kit.counted(job)) == (JobState.CANCELLED, Counts(2, cancelled=2))


def test_failing_a_job_fails_its_pending_items(kit: Kit) -> None:
    job = kit.sealed_job(uploads(3))
    assert kit.store.fail(job, BROKEN)
    failed = kit.store.get(job)
    assert (failed.state, failed.failure) == (JobState.FAILED, BROKEN)
    outcome = kit.store.item(job, "k1").outcome
    assert outcome is not None
    assert (outcome.state, outcome.failure) == (ItemState.FAILED, BROKEN)
    assert kit.counted(job) == Counts(3, failed=3)
    assert not kit.store.fail(job, BROKEN)


def test_failing_lets_claimed_chunks_finish(kit: Kit) -> None:
    job = kit.open_job(uploads(1))
    chunk = kit.claim()
    kit.store.add(job, [upload("late")], 10)
    kit.store.seal(job)
    kit.store.fail(job, BROKEN)
    assert not kit.store.get(job).state.done
    kit.finish(chunk)
    assert (kit.store.get(job).state, kit.counted(job)) == (JobState.FAILED, Counts(2, succeeded=1, failed=1))


def test_the_first_ending_wins(kit: Kit) -> None:
    job = kit.sealed_job(uploads(1))
    chunk = kit.claim()
    kit.store.fail(job, BROKEN)
    kit.store.cancel(job)
    kit.finish(chunk)
    assert (kit.store.get(job).state, kit.store.get(job).failure) == (JobState.FAILED, BROKEN)


def test_a_big_job_is_cancelled_completely(kit: Kit) -> None:
    job = kit.sealed_job(uploads(2 * SCRIPT_BATCH + 1))
    assert kit.store.cancel(job)
    assert kit.counted(job) == Counts(2 * SCRIPT_BATCH + 1, cancelled=2 * SCRIPT_BATCH + 1)
    assert kit.store.retry(job) == 2 * SCRIPT_BATCH + 1
    assert (kit.store.get(job).state, kit.counted(job).cancelled) == (JobState.QUEUED, 0)


def test_retry_queues_only_failed_and_cancelled_items(kit: Kit) -> None:
    job = kit.open_job([upload("good"), upload("broken"), upload("refused", failure=REFUSED)])
    chunk = kit.claim()
    assert kit.chunks.commit(chunk, {"good": sure(), "broken": UNREADABLE})
    kit.store.add(job, [upload("late")], 10)
    kit.store.cancel(job)
    good = kit.store.item(job, "good")
    assert kit.store.retry(job) == 2
    queued = kit.store.get(job)
    assert (queued.state, queued.finished_at, queued.expires_at) == (JobState.QUEUED, None, None)
    assert queued.started_at is None
    assert kit.counted(job) == Counts(4, succeeded=1, failed=1)
    again = kit.claim()
    assert sorted(names(again)) == ["broken", "late"]
    running = kit.store.get(job)
    assert (running.state, running.finished_before) == (JobState.RUNNING, 2)
    kit.finish(again)
    assert (kit.store.get(job).state, kit.counted(job)) == (JobState.SUCCEEDED, Counts(4, succeeded=3, failed=1))
    assert kit.store.item(job, "good") == good
    with pytest.raises(Conflict, match="no failed or cancelled"):
        kit.store.retry(job)


def test_retry_clears_the_jobs_failure(kit: Kit) -> None:
    job = kit.sealed_job(uploads(2))
    kit.store.fail(job, BROKEN)
    assert kit.store.retry(job) == 2
    assert (kit.store.get(job).state, kit.store.get(job).failure) == (JobState.QUEUED, None)
    kit.work_off()
    assert kit.store.get(job).state is JobState.SUCCEEDED


def test_a_job_cannot_be_retried_while_it_is_being_cancelled(kit: Kit) -> None:
    job = kit.sealed_job(uploads(1))
    kit.claim()
    kit.store.cancel(job)
    with pytest.raises(Conflict, match="being cancelled"):
        kit.store.retry(job)


def test_a_retried_open_job_still_expires(kit: Kit) -> None:
    job = kit.open_job(uploads(1))
    kit.finish(kit.claim(), UNREADABLE)
    expires_at = kit.store.get(job).expires_at
    assert kit.store.retry(job) == 1
    assert (kit.store.get(job).state, kit.store.get(job).expires_at) == (JobState.OPEN, expires_at)
    assert kit.redis.zscore("darkroom:expiring", job) is not None
    kit.work_off()
    assert kit.counted(job) == Counts(1, succeeded=1)


def test_the_revision_grows_with_every_change_of_state_or_counts(kit: Kit) -> None:
    job = kit.open_job()
    chunks = []
    steps = [
        lambda: kit.store.add(job, uploads(2), 10),
        lambda: kit.store.add(job, [upload("bad", failure=REFUSED)], 10),
        lambda: kit.store.seal(job),
        lambda: chunks.append(kit.claim()),
        lambda: kit.finish(chunks.pop(), UNREADABLE),
        lambda: kit.store.retry(job),
        lambda: chunks.append(kit.claim()),
        lambda: kit.store.cancel(job),
        lambda: kit.chunks.release(chunks.pop().id),
        lambda: kit.store.retry(job),
        lambda: kit.store.fail(job, BROKEN),
    ]
    for number, step in enumerate(steps):
        before = kit.store.get(job)
        step()
        after = kit.store.get(job)
        assert (before.state, before.counts) != (after.state, after.counts), number
        assert before.revision < after.revision == kit.store.revision(job), number


def test_the_queue_position_counts_earlier_jobs(kit: Kit) -> None:
    big = [kit.sealed_job(uploads(17)) for _ in range(2)]
    small = [kit.sealed_job(uploads(2)) for _ in range(2)]
    assert [kit.store.get(job).queue_position for job in [*small, *big]] == [0, 1, 2, 3]
    chunk = kit.claim()
    assert chunk.job_id == small[0]
    assert [kit.store.get(job).queue_position for job in [*small, *big]] == [None, 0, 1, 2]
    kit.store.cancel(small[1])
    assert [kit.store.get(job).queue_position for job in [*small, *big]] == [None, None, 0, 1]
