"""Deliveries: created when the job ends, claimed by one sender at a time, removed with their job."""

from __future__ import annotations

import pytest

from shared.domain.entities import Failure, JobKind, JobState
from shared.domain.errors import NotFound
from shared.jobs.deliveries import LEASE_S, Attempt, ClaimedDelivery, DeliveryOutcome, DeliveryState, DeliveryStore
from shared.redis import keys
from shared.redis.connection import KEPT_ATTEMPTS, KEPT_DELIVERIES, now_ms
from shared.webhooks.target import parse
from tests.shared.kit import UNREADABLE, Kit, upload

URL = "https://receiver.example/hook?token=1"
FAILED = Attempt(1000.5, 0.25, 500, Failure("status", "the receiver returned 500"))
TAKEN = Attempt(1001.5, 0.25, 204)


@pytest.fixture
def deliveries(kit: Kit) -> DeliveryStore:
    return DeliveryStore(kit.redis)


def job_with_webhook(kit: Kit, url: str = URL, items: int = 1) -> str:
    job_id = kit.store.create(JobKind.CLASSIFICATION, retention_s=3600, owner="ann", model="net-1", webhook=parse(url))
    kit.store.add(job_id, [upload(f"k{number}") for number in range(items)], 10)
    kit.store.seal(job_id)
    return job_id


def claimed(deliveries: DeliveryStore) -> ClaimedDelivery:
    due = deliveries.claim()
    assert due is not None
    return due


def make_due(kit: Kit, due: ClaimedDelivery) -> None:
    """Move the delivery's due time, or the end of its lease, into the past."""
    past = now_ms(kit.redis) - 1
    kit.redis.zadd(keys.deliveries(due.receiver), {due.id: past}, xx=True)
    kit.redis.zadd(keys.RECEIVERS, {due.receiver: past}, xx=True)


def test_a_delivery_is_created_when_the_job_ends(kit: Kit, deliveries: DeliveryStore) -> None:
    job_id = job_with_webhook(kit)
    kit.sealed_job([upload("other")])  # which has no webhook
    assert deliveries.claim() is None and deliveries.of_job(kit.store.get(job_id)) == []
    kit.work_off()
    due = claimed(deliveries)
    assert (due.id, due.url, due.receiver, due.attempt_number) == (f"{job_id}-1", URL, "receiver.example:443", 1)
    job = kit.store.get(job_id)
    assert (due.job.state, due.job.counts, due.job.finished_at) == (job.state, job.counts, job.finished_at)
    assert (due.job.owner, due.job.model, job.webhook) == ("ann", "net-1", URL)
    assert deliveries.claim() is None


@pytest.mark.parametrize(("end", "state"), [("cancel", JobState.CANCELLED), ("fail", JobState.FAILED)])
def test_unsuccessful_jobs_are_delivered_too(kit: Kit, deliveries: DeliveryStore, end: str, state: JobState) -> None:
    job_id = job_with_webhook(kit)
    failure = Failure("bad_model", "The model is damaged.")
    kit.store.cancel(job_id) if end == "cancel" else kit.store.fail(job_id, failure)
    job = claimed(deliveries).job
    assert (job.state, job.failure) == (state, failure if end == "fail" else None)


def test_a_trainings_delivery_names_its_version(kit: Kit, deliveries: DeliveryStore) -> None:
    kit.store.submit_training({"preset": "seed"}, retention_s=60, webhook=parse(URL))
    training = kit.trainings.claim("worker")
    assert deliveries.claim() is None
    assert kit.trainings.succeed(training, "net-2", {"promoted": False})
    assert (claimed(deliveries).job.kind, deliveries.claim()) == (JobKind.TRAINING, None)


def test_failed_attempts_are_retried_as_scheduled(kit: Kit, deliveries: DeliveryStore) -> None:
    job = kit.store.get(job_with_webhook(kit))
    kit.work_off()
    due = claimed(deliveries)
    assert deliveries.end_attempt(due, FAILED, None, delay_s=60)
    (delivery,) = deliveries.of_job(job)
    assert (delivery.state, delivery.attempts) == (DeliveryState.PENDING, (FAILED,))
    assert delivery.next_attempt_at == pytest.approx(now_ms(kit.redis) / 1000 + 60, abs=5)
    assert deliveries.claim() is None
    make_due(kit, due)
    again = claimed(deliveries)
    assert (again.id, again.job, again.attempt_number) == (due.id, due.job, 2)
    assert deliveries.end_attempt(again, TAKEN, DeliveryOutcome.DELIVERED)
    (delivery,) = deliveries.of_job(job)
    assert (delivery.state, delivery.attempts, delivery.next_attempt_at) == ("delivered", (FAILED, TAKEN), None)
    assert not kit.redis.exists(keys.deliveries(due.receiver), keys.RECEIVERS)


def test_an_expired_lease_moves_a_delivery_and_fences_its_old_sender(kit: Kit, deliveries: DeliveryStore) -> None:
    job = kit.store.get(job_with_webhook(kit))
    kit.work_off()
    lost = claimed(deliveries)
    lease = kit.redis.zscore(keys.deliveries(lost.receiver), lost.id) - now_ms(kit.redis)
    assert 0 < lease <= LEASE_S * 1000
    make_due(kit, lost)
    again = claimed(deliveries)
    assert again.id == lost.id and again.fence != lost.fence
    assert not deliveries.end_attempt(lost, FAILED, DeliveryOutcome.FAILED)
    assert deliveries.end_attempt(again, TAKEN, DeliveryOutcome.DELIVERED)
    assert not deliveries.end_attempt(again, TAKEN, DeliveryOutcome.DELIVERED)  # a repeat whose response was lost
    assert deliveries.of_job(job)[0].attempts == (TAKEN,)


def test_receivers_are_independent(kit: Kit, deliveries: DeliveryStore) -> None:
    for number in range(5):
        job_with_webhook(kit, f"https://dead.example/{number}")
    job_with_webhook(kit, "http://alive.example:81/")
    kit.work_off()
    first = claimed(deliveries)
    assert first.receiver == "dead.example:443"
    other = deliveries.claim(["dead.example:443"])
    assert other is not None and other.receiver == "alive.example:81"
    assert deliveries.claim(["dead.example:443"]) is None
    assert len({claimed(deliveries).id for _ in range(4)} | {first.id}) == 5


def test_each_end_of_a_retried_job_has_its_own_delivery(kit: Kit, deliveries: DeliveryStore) -> None:
    job = kit.store.get(job_with_webhook(kit))
    for _ in range(KEPT_DELIVERIES + 2):
        kit.work_off(UNREADABLE)
        kit.store.retry(job.id)
    kit.work_off()
    kept = deliveries.of_job(job)
    assert [delivery.id for delivery in kept] == [f"{job.id}-{n}" for n in range(23, 3, -1)]
    assert kept[0].job.counts.succeeded == 1 and kept[1].job.counts.failed == 1
    assert kit.redis.zcard(keys.deliveries("receiver.example:443")) == KEPT_DELIVERIES


def test_a_gone_receiver_is_unsubscribed_until_a_redelivery_succeeds(kit: Kit, deliveries: DeliveryStore) -> None:
    job = kit.store.get(job_with_webhook(kit))
    kit.work_off(UNREADABLE)
    assert deliveries.end_attempt(claimed(deliveries), FAILED, DeliveryOutcome.GONE)
    assert deliveries.of_job(job)[0].state is DeliveryState.FAILED
    kit.store.retry(job.id)
    kit.work_off(UNREADABLE)
    assert len(deliveries.of_job(job)) == 1 and deliveries.claim() is None
    deliveries.redeliver(f"{job.id}-1")
    assert deliveries.get(f"{job.id}-1").state is DeliveryState.PENDING
    due = claimed(deliveries)
    assert due.attempt_number == 1
    assert deliveries.end_attempt(due, TAKEN, DeliveryOutcome.DELIVERED)
    kit.store.retry(job.id)
    kit.work_off()
    assert claimed(deliveries).id == f"{job.id}-2"


def test_a_delivery_can_be_repeated(kit: Kit, deliveries: DeliveryStore) -> None:
    job_id = job_with_webhook(kit)
    kit.work_off()
    due = claimed(deliveries)
    deliveries.redeliver(due.id)
    assert deliveries.claim() is None, "it is being sent"
    for _ in range(KEPT_ATTEMPTS + 1):
        assert deliveries.end_attempt(due, TAKEN, DeliveryOutcome.DELIVERED)
        deliveries.redeliver(due.id)
        due = claimed(deliveries)
    assert len(deliveries.get(due.id).attempts) == KEPT_ATTEMPTS
    for unknown in (f"{job_id}-2", f"{job_id}-", "x"):
        with pytest.raises(NotFound):
            deliveries.redeliver(unknown)
        with pytest.raises(NotFound):
            deliveries.get(unknown)


def test_deliveries_are_removed_with_their_job(kit: Kit, deliveries: DeliveryStore) -> None:
    job_id = job_with_webhook(kit)
    kit.work_off(UNREADABLE)
    due = claimed(deliveries)
    other = job_with_webhook(kit)
    kit.store.retry(job_id)
    kit.work_off()
    kit.store.remove(job_id)
    kit.store.forget(job_id)
    assert kit.traces(job_id) == set()
    assert not deliveries.end_attempt(due, FAILED, None, delay_s=1)
    assert kit.traces(job_id) == set()
    assert claimed(deliveries).id == f"{other}-1"
