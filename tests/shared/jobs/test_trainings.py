"""Training jobs in the job store: each is claimed by one worker at a time and ends once."""

import pytest

from shared.domain.entities import Failure, JobKind, JobState, Queue, Training
from shared.domain.errors import Conflict, NotFound
from shared.jobs.chunks import MAX_DEATHS
from shared.jobs.job_list import JobList
from shared.jobs.trainings import TrainingCommand
from shared.redis import keys
from shared.redis.connection import SCHEMA, now_ms
from tests.shared.kit import HOUR_MS, RINGS, Kit, uploads

PARAMS = {"preset": "seed", "epochs": 2}
DIVERGED = Failure("diverged", "The loss is no number.")


def submit(kit: Kit, **params) -> str:
    return kit.store.submit_training(PARAMS | params, retention_s=3600)


def claim(kit: Kit) -> Training:
    training = kit.trainings.claim("worker")
    assert training is not None
    return training


def row(n: int, steps: int = 10) -> dict:
    return {"n": n, "step": n, "steps": steps, "loss": 1 / n}


def add_rows(kit: Kit, training: Training, *numbers: int) -> None:
    for n in numbers:
        assert kit.trainings.add_row(training, row(n), 5)


def numbers(kit: Kit, job: str, after: int = 0, limit: int = 100) -> list[int]:
    return [found["n"] for found in kit.trainings.rows(job, after, limit)]


def test_a_training_is_queued_and_listed(kit):
    job = submit(kit)
    waiting = kit.store.get(job)
    assert (waiting.kind, waiting.state, waiting.params) == (JobKind.TRAINING, JobState.QUEUED, PARAMS)
    assert waiting.queue_position == 0
    assert kit.chunks.backlog() == {Queue.INTERACTIVE: 0, Queue.BULK: 0, Queue.TRAIN: 1}
    assert [found.id for found in JobList(kit.redis).page(10)[0]] == [job]
    assert kit.store.expired(10) == []


def test_classification_and_training_have_separate_queues(kit):
    first, second = submit(kit), submit(kit)
    images = kit.sealed_job(uploads(1))
    assert kit.store.get(second).queue_position == 1
    assert kit.store.get(images).queue_position == 0
    assert kit.claim(RINGS).job_id == images
    assert claim(kit).job_id == first


def test_the_oldest_training_is_claimed_by_one_worker(kit):
    job = submit(kit)
    training = claim(kit)
    assert (training.job_id, training.params) == (job, PARAMS)
    assert kit.store.get(job).state is JobState.RUNNING
    assert kit.store.get(job).started_at is not None
    assert kit.trainings.claim("other") is None
    assert kit.trainings.command(training) is TrainingCommand.CONTINUE


def test_trainings_of_a_newer_schema_are_skipped(kit):
    newer, known = submit(kit), submit(kit)
    kit.redis.hset(keys.job(newer), "schema", SCHEMA + 1)
    assert claim(kit).job_id == known
    assert kit.trainings.claim("other") is None
    assert kit.chunks.backlog()[Queue.TRAIN] == 1


def test_rows_are_read_in_order_and_after_a_number(kit):
    training = claim_of_new(kit)
    add_rows(kit, training, 1, 2, 3)
    assert numbers(kit, training.job_id) == [1, 2, 3]
    assert numbers(kit, training.job_id, after=2) == [3]
    assert numbers(kit, training.job_id, after=3) == []
    assert numbers(kit, training.job_id, limit=2) == [1, 2]


def test_a_row_updates_the_jobs_progress(kit):
    training = claim_of_new(kit)
    before = kit.store.get(training.job_id)
    kit.trainings.add_row(training, row(3), 60)
    job = kit.store.get(training.job_id)
    assert (job.step, job.steps) == (3, 10)
    assert job.ends_at is not None
    assert 50 < job.ends_at - now_ms(kit.redis) / 1000 <= 60
    assert job.revision > before.revision


def test_after_an_early_end_no_steps_are_left(kit):
    training = claim_of_new(kit)
    add_rows(kit, training, 1, 2, 3)
    assert kit.trainings.add_row(training, row(3), 0, is_last=True)
    job = kit.store.get(training.job_id)
    assert (job.step, job.steps, job.state) == (3, 3, JobState.RUNNING)
    assert kit.trainings.rows(training.job_id, 0, 9) == [row(1), row(2), row(3)]


def test_a_resumed_training_replaces_its_later_rows(kit):
    training = claim_of_new(kit)
    add_rows(kit, training, 1, 2, 3)
    kit.chunks.release(training.id)
    add_rows(kit, claim(kit), 2)
    assert numbers(kit, training.job_id) == [1, 2]
    kit.chunks.release(kit.redis.hget(keys.job(training.job_id), "holder"))
    add_rows(kit, claim(kit), 1, 2)
    assert numbers(kit, training.job_id) == [1, 2]


def test_success_ends_the_job_with_its_model(kit):
    training = claim_of_new(kit)
    assert kit.trainings.planned_version(training) is None
    kit.trainings.plan_version(training, "seed-1")
    assert kit.trainings.planned_version(training) == "seed-1"
    assert kit.store.get(training.job_id).model is None  # not visible before success
    assert kit.trainings.succeed(training, "seed-1", {"promoted": False, "reason": "never"})
    job = kit.store.get(training.job_id)
    assert (job.state, job.model) == (JobState.SUCCEEDED, "seed-1")
    assert job.promotion == {"promoted": False, "reason": "never"}
    assert job.finished_at is not None
    assert job.expires_at is not None
    assert kit.redis.zcard(keys.LEASES) == 0


def test_failure_ends_the_job_with_its_reason(kit):
    training = claim_of_new(kit)
    assert kit.trainings.fail(training, DIVERGED)
    job = kit.store.get(training.job_id)
    assert (job.state, job.failure) == (JobState.FAILED, DIVERGED)


def test_a_worker_without_the_lease_cannot_write(kit):
    lost = claim_of_new(kit)
    kit.lapse(lost.id)
    assert kit.chunks.expired_leases(10) == [lost.id]
    kit.chunks.release(lost.id, died=True)
    ours = claim(kit)
    add_rows(kit, ours, 1)
    before = kit.store.get(ours.job_id)
    assert kit.trainings.command(lost) is TrainingCommand.LOST
    assert not kit.chunks.renew(lost.id)
    assert not kit.trainings.add_row(lost, row(2), 5)
    assert not kit.trainings.plan_version(lost, "seed-1")
    assert not kit.trainings.succeed(lost, "seed-1", {})
    assert not kit.trainings.fail(lost, DIVERGED)
    kit.chunks.release(lost.id, died=True)
    assert kit.store.get(ours.job_id) == before
    assert numbers(kit, ours.job_id) == [1]
    assert kit.trainings.command(ours) is TrainingCommand.CONTINUE


def test_worker_deaths_without_progress_fail_the_job(kit):
    job = submit(kit)
    for _ in range(MAX_DEATHS):
        training = claim(kit)
        kit.chunks.release(training.id, died=True)
    assert kit.trainings.claim("worker") is None
    assert kit.store.get(job).state is JobState.FAILED
    assert kit.store.get(job).failure.code == "crashed"


def test_progress_resets_the_worker_deaths(kit):
    job = submit(kit)
    for n in range(1, 2 * MAX_DEATHS):
        training = claim(kit)
        add_rows(kit, training, n)
        kit.chunks.release(training.id, died=True)
    assert kit.store.get(job).state is JobState.RUNNING
    assert claim(kit).job_id == job


def test_reaching_publication_resets_the_worker_deaths(kit):
    job = submit(kit)
    for _ in range(MAX_DEATHS - 1):
        kit.chunks.release(claim(kit).id, died=True)
    training = claim(kit)
    assert kit.trainings.plan_version(training, "seed-1")
    kit.chunks.release(training.id, died=True)
    assert kit.store.get(job).state is JobState.RUNNING
    assert kit.trainings.planned_version(claim(kit)) == "seed-1"


def test_an_orderly_stop_is_not_a_death(kit):
    job = submit(kit)
    for _ in range(MAX_DEATHS + 1):
        kit.chunks.release(claim(kit).id)
    assert kit.store.get(job).state is JobState.RUNNING


def test_a_queued_training_is_cancelled_at_once(kit):
    job = submit(kit)
    assert kit.store.cancel(job)
    assert kit.store.get(job).state is JobState.CANCELLED
    assert kit.trainings.claim("worker") is None
    assert kit.chunks.backlog()[Queue.TRAIN] == 0


def test_a_running_training_is_cancelled_when_released(kit):
    training = claim_of_new(kit)
    assert kit.store.cancel(training.job_id)
    assert kit.store.get(training.job_id).state is JobState.CANCELLING
    assert kit.trainings.command(training) is TrainingCommand.CANCEL
    kit.chunks.release(training.id)
    assert kit.store.get(training.job_id).state is JobState.CANCELLED
    assert not kit.store.cancel(training.job_id)


def test_a_cancelled_training_whose_worker_died_is_cancelled(kit):
    training = claim_of_new(kit)
    kit.store.cancel(training.job_id)
    kit.chunks.release(training.id, died=True)
    assert kit.store.get(training.job_id).state is JobState.CANCELLED


def test_a_cancellation_wins_over_a_simultaneous_end(kit):
    training = claim_of_new(kit)
    kit.store.cancel(training.job_id)
    assert kit.trainings.succeed(training, "seed-1", {})
    assert kit.store.get(training.job_id).state is JobState.CANCELLED


def test_only_a_running_training_can_finish_early(kit):
    job = submit(kit)
    with pytest.raises(Conflict, match="queued"):
        kit.trainings.finish(job)
    training = claim(kit)
    assert kit.trainings.finish(job)
    assert kit.trainings.command(training) is TrainingCommand.FINISH
    kit.trainings.succeed(training, "seed-1", {})
    assert not kit.trainings.finish(job)


def test_classification_jobs_have_no_rows_and_no_early_finish(kit):
    images = kit.sealed_job(uploads(1))
    for call in (lambda: kit.trainings.rows(images, 0, 10), lambda: kit.trainings.finish(images)):
        with pytest.raises(Conflict, match="classification"):
            call()
    for call in (lambda: kit.trainings.rows("0" * 32, 0, 10), lambda: kit.trainings.finish("0" * 32)):
        with pytest.raises(NotFound):
            call()


@pytest.mark.parametrize("how", ["failed", "cancelled"])
def test_an_unsuccessful_training_can_be_retried(kit, how):
    training = claim_of_new(kit)
    add_rows(kit, training, 1)
    if how == "failed":
        kit.trainings.fail(training, DIVERGED)
    else:
        kit.store.cancel(training.job_id)
        kit.chunks.release(training.id)
    assert kit.store.retry(training.job_id) == 1
    job = kit.store.get(training.job_id)
    assert (job.state, job.failure, job.finished_at) == (JobState.QUEUED, None, None)
    assert job.started_at is None and job.ends_at is None
    assert claim(kit).job_id == training.job_id
    assert numbers(kit, training.job_id) == [1]


def test_successful_and_running_trainings_cannot_be_retried(kit):
    training = claim_of_new(kit)
    with pytest.raises(Conflict):
        kit.store.retry(training.job_id)
    kit.trainings.succeed(training, "seed-1", {})
    with pytest.raises(Conflict):
        kit.store.retry(training.job_id)


def test_a_removed_training_leaves_no_trace(kit):
    training = claim_of_new(kit)
    add_rows(kit, training, 1)
    with pytest.raises(Conflict):
        kit.store.remove(training.job_id)
    kit.trainings.fail(training, DIVERGED)
    kit.store.remove(training.job_id)
    kit.store.forget(training.job_id)
    assert kit.traces(training.job_id) == set()


def test_a_training_accepts_no_items(kit):
    job = submit(kit)
    with pytest.raises(Conflict, match="sealed"):
        kit.store.add(job, uploads(1), 10)


def test_a_finished_training_expires_after_its_retention(kit):
    training = claim_of_new(kit)
    kit.trainings.fail(training, DIVERGED)
    kit.redis.zincrby(keys.EXPIRING, -2 * HOUR_MS, training.job_id)
    assert [job.id for job in kit.store.expired(10)] == [training.job_id]


def claim_of_new(kit: Kit) -> Training:
    submit(kit)
    return claim(kit)
