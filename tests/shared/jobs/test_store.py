"""The job store: jobs are created, filled and sealed, and their items are counted."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.domain.entities import Counts, Failure, ItemState, JobKind, JobState
from shared.domain.errors import Conflict, NotFound
from shared.jobs.store import SCRIPT_BATCH, AddResult
from shared.redis.connection import now_ms
from tests.shared.kit import MANY, REFUSED, RINGS, Kit, upload, uploads

UNKNOWN = "0" * 32


def test_a_new_job_is_open_and_empty(kit: Kit) -> None:
    params, metadata = {"epochs": 3, "augment": None}, {"name": "Überraschung", "tags": [1, True, None]}
    before = now_ms(kit.redis)
    job_id = kit.store.create(JobKind.CLASSIFICATION, retention_s=60, model="net-1", params=params, metadata=metadata)
    job = kit.store.get(job_id)
    assert (job.id, job.kind, job.state, job.model) == (job_id, JobKind.CLASSIFICATION, JobState.OPEN, "net-1")
    assert (job.params, job.metadata) == (params, metadata)
    assert (job.counts, job.sealed, job.revision) == (Counts(), False, 0)
    assert (job.started_at, job.finished_at, job.failure, job.queue_position) == (None, None, None, None)
    assert before <= job.created_at * 1000 <= now_ms(kit.redis)
    assert job.expires_at is not None
    assert job.expires_at - job.created_at == pytest.approx(24 * 3600)


def test_ids_are_random_and_unique(kit: Kit) -> None:
    ids = {kit.open_job() for _ in range(50)}
    assert len(ids) == 50
    assert {len(job) for job in ids} == {32}


def test_adding_a_known_key_compares_digests(kit: Kit) -> None:
    job = kit.open_job([upload("a"), upload("b")])
    first = kit.store.item(job, "a")
    again = [upload("a"), upload("b", "other bytes"), upload("c"), upload("c"), upload("c", "other bytes")]
    answers = kit.store.add(job, again, MANY)
    assert answers == [AddResult.SAME, AddResult.DIFFERS, AddResult.ADDED, AddResult.SAME, AddResult.DIFFERS]
    assert kit.store.item(job, "a") == first
    assert kit.store.item(job, "b").upload == upload("b")
    assert kit.counted(job) == Counts(total=3)
    assert len(kit.claim().uploads) == 3


def test_a_full_job_accepts_only_known_items(kit: Kit) -> None:
    job = kit.open_job()
    assert kit.store.add(job, uploads(4), 3) == [AddResult.ADDED, AddResult.ADDED, AddResult.ADDED, AddResult.FULL]
    assert kit.store.add(job, uploads(4), 3) == [AddResult.SAME, AddResult.SAME, AddResult.SAME, AddResult.FULL]
    assert kit.counted(job) == Counts(total=3)
    assert kit.store.add(job, uploads(4), 4)[3] is AddResult.ADDED


def test_many_items_in_one_call_keep_their_order(kit: Kit) -> None:
    many = uploads(2 * SCRIPT_BATCH + 7)
    job = kit.open_job(many)
    assert list(kit.states(job)) == [each.key for each in many]
    assert kit.counted(job).total == len(many)


def test_items_round_trip(kit: Kit) -> None:
    sent = upload("ключ".encode().hex(), size=12345)
    job = kit.open_job([sent])
    item = kit.store.item(job, sent.key)
    assert (item.upload, item.state, item.outcome) == (sent, ItemState.PENDING, None)
    assert item.created_at == pytest.approx(now_ms(kit.redis) / 1000, abs=5)


def test_a_refused_upload_is_a_failed_item(kit: Kit) -> None:
    job = kit.open_job([upload("good"), upload("bad", failure=REFUSED)])
    item = kit.store.item(job, "bad")
    assert item.state is ItemState.FAILED
    assert item.outcome is not None
    assert item.outcome.failure == REFUSED
    assert kit.counted(job) == Counts(total=2, failed=1)
    assert [each.key for each in kit.claim().uploads] == ["good"]


def test_a_job_of_refused_uploads_ends_when_sealed(kit: Kit) -> None:
    job = kit.sealed_job([upload("bad", failure=REFUSED)])
    assert kit.store.get(job).state is JobState.SUCCEEDED
    assert kit.chunks.claim("worker", RINGS) is None
    with pytest.raises(Conflict):
        kit.store.retry(job)


def test_sealing_queues_the_job_and_is_idempotent(kit: Kit) -> None:
    job = kit.sealed_job(uploads(2))
    sealed = kit.store.get(job)
    assert (sealed.state, sealed.sealed, sealed.expires_at) == (JobState.QUEUED, True, None)
    kit.store.seal(job)
    assert kit.store.get(job) == sealed


def test_a_sealed_job_accepts_no_items(kit: Kit) -> None:
    job = kit.sealed_job(uploads(1))
    for items in (uploads(1), [upload("new")]):
        with pytest.raises(Conflict, match="sealed"):
            kit.store.add(job, items, MANY)
    assert kit.counted(job) == Counts(total=1)


def test_the_last_items_seal_the_job_and_a_repeated_call_changes_nothing(kit: Kit) -> None:
    job = kit.open_job(uploads(1), listed=False)
    last = [upload("last"), upload("bad", failure=REFUSED)]
    kit.store.add_last(job, last, MANY)
    sealed = kit.store.get(job)
    assert (sealed.state, sealed.sealed, sealed.expires_at) == (JobState.QUEUED, True, None)
    assert kit.store.is_listed(job) and sealed.counts == Counts(total=3, failed=1)
    kit.store.add_last(job, last, MANY)
    assert kit.store.get(job) == sealed
    kit.finish(kit.claim())
    kit.store.add_last(job, last, MANY)
    assert kit.store.get(job).state is JobState.SUCCEEDED and kit.counted(job) == Counts(3, succeeded=2, failed=1)


def test_a_job_that_was_cancelled_accepts_no_last_items(kit: Kit) -> None:
    job = kit.open_job(uploads(1))
    kit.store.cancel(job)
    with pytest.raises(Conflict, match="sealed"):
        kit.store.add_last(job, [upload("last")], MANY)
    assert kit.counted(job) == Counts(total=1, cancelled=1)


def test_an_empty_job_cannot_be_sealed(kit: Kit) -> None:
    job = kit.open_job()
    with pytest.raises(Conflict, match="no items"):
        kit.store.seal(job)
    assert kit.store.get(job).state is JobState.OPEN


CALLS_ON_A_JOB = {
    "get": lambda store, job: store.get(job),
    "revision": lambda store, job: store.revision(job),
    "add": lambda store, job: store.add(job, uploads(1), MANY),
    "add_last": lambda store, job: store.add_last(job, uploads(1), MANY),
    "reserve_numbers": lambda store, job: store.reserve_numbers(job, 3),
    "seal": lambda store, job: store.seal(job),
    "set_metadata": lambda store, job: store.set_metadata(job, {"a": 1}),
    "item": lambda store, job: store.item(job, "k0"),
    "cancel": lambda store, job: store.cancel(job),
    "fail": lambda store, job: store.fail(job, Failure("x", "y")),
    "retry": lambda store, job: store.retry(job),
    "remove": lambda store, job: store.remove(job),
}


@pytest.mark.parametrize("call", CALLS_ON_A_JOB.values(), ids=CALLS_ON_A_JOB)
def test_an_unknown_job_is_not_found_and_not_created(kit: Kit, call) -> None:
    with pytest.raises(NotFound, match=UNKNOWN):
        call(kit.store, UNKNOWN)
    assert kit.traces(UNKNOWN) == set()


@pytest.mark.parametrize("read", ["finished", "least_confident", "items", "item_keys"])
def test_results_of_an_unknown_job_are_not_found(kit: Kit, read: str) -> None:
    with pytest.raises(NotFound, match=UNKNOWN):
        getattr(kit.results, read)(UNKNOWN, 10)


def test_an_unknown_item_is_not_found(kit: Kit) -> None:
    with pytest.raises(NotFound, match="'b'"):
        kit.store.item(kit.open_job([upload("a")]), "b")


def test_reserved_numbers_are_unique(kit: Kit) -> None:
    job = kit.open_job()
    with ThreadPoolExecutor(4) as pool:
        firsts = list(pool.map(lambda count: (kit.store.reserve_numbers(job, count), count), [3, 1, 5, 2] * 20))
    given = sorted(number for first, count in firsts for number in range(first, first + count))
    assert given == list(range(1, 20 * 11 + 1))


def test_metadata_can_be_set_later(kit: Kit) -> None:
    job = kit.open_job(uploads(1))
    kit.store.set_metadata(job, ["a", {"b": None}])
    assert kit.store.get(job).metadata == ["a", {"b": None}]


def test_the_cost_of_a_status_does_not_depend_on_items(kit: Kit) -> None:
    """The record is read with one command, and its size does not depend on the number of items."""
    small, big = kit.sealed_job(uploads(2)), kit.sealed_job(uploads(3000))
    sizes = [len(str(kit.redis.hgetall(f"darkroom:job:{job}"))) for job in (small, big)]
    assert abs(sizes[0] - sizes[1]) < 20
