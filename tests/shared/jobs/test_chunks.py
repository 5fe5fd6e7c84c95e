"""Chunks: scheduling, claims, leases, worker deaths and commits."""

from dataclasses import replace

import pytest

from shared.domain.entities import (
    INTERACTIVE_ITEMS,
    Chunk,
    Counts,
    Failure,
    ItemState,
    JobKind,
    JobState,
    Outcome,
    Prediction,
    Queue,
    Upload,
    new_id,
)
from shared.jobs.chunks import CHUNK_BYTES, CHUNK_ITEMS, LEASE_S, MAX_DEATHS, SUSPECT_ITEMS, TOGETHER_BYTES
from shared.jobs.store import AddResult
from shared.jobs.workers import Worker, Workers
from shared.redis import keys
from shared.redis.connection import FIRST_SCHEMA, SCHEMA, WITH_PACKS, Scripts, now_ms
from tests.shared.kit import HOUR_MS, MANY, RINGS, UNREADABLE, Kit, names, sure, upload, uploads


def test_a_claim_returns_the_job_its_model_and_the_uploads(kit: Kit) -> None:
    items = uploads(3)
    job = kit.sealed_job(items)
    chunk = kit.claim()
    assert (chunk.job_id, chunk.model, chunk.uploads) == (job, "net-1", tuple(items))
    left_ms = kit.redis.zscore(keys.LEASES, chunk.id) - now_ms(kit.redis)
    assert 0 < left_ms <= LEASE_S * 1000


def test_an_empty_store_has_nothing_to_claim(kit: Kit) -> None:
    assert kit.chunks.claim("worker", RINGS) is None
    assert kit.chunks.backlog() == dict.fromkeys(Queue, 0)
    assert kit.chunks.expired_leases(10) == []


def test_jobs_are_served_round_robin(kit: Kit) -> None:
    jobs = [kit.sealed_job(uploads(2 * CHUNK_ITEMS + 1, f"job{number}-")) for number in range(3)]
    claimed = [kit.claim() for _ in range(9)]
    assert [chunk.job_id for chunk in claimed] == jobs * 3
    assert [len(chunk.uploads) for chunk in claimed] == 6 * [CHUNK_ITEMS] + 3 * [1]
    assert kit.chunks.claim("worker", RINGS) is None


def test_small_jobs_have_priority(kit: Kit) -> None:
    big = kit.sealed_job(uploads(CHUNK_ITEMS + 1))
    assert kit.claim().job_id == big
    small = kit.sealed_job(uploads(16))
    assert kit.chunks.backlog() == {Queue.INTERACTIVE: 1, Queue.BULK: 1, Queue.TRAIN: 0}
    assert [kit.claim().job_id for _ in range(2)] == [small, big]


def test_an_interactive_worker_does_not_claim_bulk_jobs(kit: Kit) -> None:
    kit.sealed_job(uploads(17))
    assert kit.chunks.claim("worker", [Queue.INTERACTIVE]) is None
    assert len(kit.claim([Queue.BULK]).uploads) == 17


def test_a_growing_job_moves_to_the_bulk_queue(kit: Kit) -> None:
    job = kit.open_job(uploads(2))
    kit.claim()
    kit.store.add(job, uploads(20, "more"), 100)
    assert kit.chunks.claim("worker", [Queue.INTERACTIVE]) is None
    assert len(kit.claim([Queue.BULK]).uploads) == 20


def test_a_chunk_is_limited_in_bytes_but_has_at_least_one_item(kit: Kit) -> None:
    sizes = [CHUNK_BYTES // 2, CHUNK_BYTES // 2, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 1, 1]
    kit.sealed_job([upload(f"k{number}", size=size) for number, size in enumerate(sizes)])
    taken = [len(kit.claim().uploads) for _ in range(5)]
    assert taken == [2, 1, 1, 1, 2]


@pytest.mark.parametrize(
    ("size", "sizes"), [(1000, [25, 19, 16, 16, 16, 8]), (2**20, [25, 19, 14, 11, 8, 6, 5, 4, 4, 4])]
)
def test_the_last_chunks_are_small(kit: Kit, size: int, sizes: list[int]) -> None:
    """A job that gets no more items is divided by the number of workers, down to 16 items or 4 MiB."""
    for number in range(4):
        Workers(kit.redis).record_heartbeat(Worker(f"host:{number}", ("bulk",), None))
    job = kit.open_job([upload(f"k{number}", size=size) for number in range(100)])
    whole = kit.claim()
    assert len(whole.uploads) == min(100, CHUNK_BYTES // size)
    kit.chunks.release(whole.id)
    kit.store.seal(job)
    assert [len(kit.claim().uploads) for _ in sizes] == sizes
    assert kit.chunks.claim("worker", RINGS) is None


def test_a_released_chunk_keeps_its_order(kit: Kit) -> None:
    items = uploads(CHUNK_ITEMS + 5)
    kit.sealed_job(items)
    first = kit.claim()
    assert kit.chunks.release(first.id) == CHUNK_ITEMS
    assert kit.claim().uploads == first.uploads
    assert kit.claim().uploads == tuple(items[CHUNK_ITEMS:])


def test_each_worker_death_shrinks_the_chunk(kit: Kit) -> None:
    kit.sealed_job(uploads(SUSPECT_ITEMS + 4))
    first = kit.claim()
    assert len(first.uploads) == SUSPECT_ITEMS + 4
    kit.chunks.release(first.id, died=True)
    second, third = kit.claim(), kit.claim()
    assert second.uploads == first.uploads[:SUSPECT_ITEMS]
    assert third.uploads == first.uploads[SUSPECT_ITEMS:]
    kit.chunks.release(third.id, died=True)
    assert [names(kit.claim()) for _ in range(4)] == [[upload.key] for upload in third.uploads]


def test_new_items_do_not_join_a_suspect_item(kit: Kit) -> None:
    job = kit.open_job([upload("suspect")])
    kit.chunks.release(kit.claim().id, died=True)
    kit.store.add(job, uploads(2, "new"), 10)
    assert [names(kit.claim()) for _ in range(2)] == [["suspect"], ["new0", "new1"]]


def test_a_suspect_item_does_not_join_earlier_items(kit: Kit) -> None:
    job = kit.open_job([upload("suspect")])
    first = kit.claim()
    kit.store.add(job, uploads(2, "new"), 10)
    second = kit.claim()
    kit.chunks.release(first.id, died=True)
    kit.chunks.release(second.id)
    assert [names(kit.claim()) for _ in range(2)] == [["new0", "new1"], ["suspect"]]


def test_an_item_that_kills_workers_fails_and_its_neighbours_succeed(kit: Kit) -> None:
    job = kit.sealed_job([*uploads(3, "good"), upload("poison"), *uploads(3, "fine")])
    deaths = 0
    while chunk := kit.chunks.claim("worker", RINGS):
        if "poison" in names(chunk):
            kit.chunks.release(chunk.id, died=True)
            deaths += 1
        else:
            kit.finish(chunk)
    assert deaths == MAX_DEATHS
    assert (kit.store.get(job).state, kit.counted(job)) == (JobState.SUCCEEDED, Counts(7, succeeded=6, failed=1))
    outcome = kit.store.item(job, "poison").outcome
    assert outcome is not None
    assert outcome.failure is not None
    assert outcome.failure.code == "crashed"
    assert kit.store.retry(job) == 1
    assert kit.chunks.release(kit.claim().id, died=True) == 1  # its deaths are reset
    kit.work_off()
    assert kit.counted(job) == Counts(7, succeeded=7)


def test_releases_without_a_death_never_fail_an_item(kit: Kit) -> None:
    job = kit.sealed_job(uploads(2))
    for _ in range(3 * MAX_DEATHS):
        assert kit.chunks.release(kit.claim().id) == 2
    assert kit.counted(job) == Counts(2)
    assert len(kit.claim().uploads) == 2


def test_a_heartbeat_renews_the_lease(kit: Kit) -> None:
    kit.sealed_job(uploads(1))
    chunk = kit.claim()
    kit.lapse(chunk.id)
    assert kit.chunks.expired_leases(10) == [chunk.id]
    assert kit.chunks.renew(chunk.id)
    assert kit.chunks.expired_leases(10) == []


def test_a_lease_too_far_in_the_future_has_expired(kit: Kit) -> None:
    """Redis's clock was set back; the worker may have died before."""
    kit.sealed_job(uploads(2 * CHUNK_ITEMS + 1))
    late, ended, held = (kit.claim() for _ in range(3))
    kit.redis.zadd(keys.LEASES, {late.id: now_ms(kit.redis) + HOUR_MS})
    assert kit.chunks.expired_leases(10) == [late.id]
    kit.lapse(ended.id)
    assert set(kit.chunks.expired_leases(10)) == {late.id, ended.id}
    assert len(kit.chunks.expired_leases(1)) == 1
    assert kit.chunks.renew(late.id)
    assert kit.chunks.expired_leases(10) == [ended.id]
    kit.redis.zadd(keys.LEASES, {held.id: now_ms(kit.redis) + (LEASE_S + 1) * 1000})
    assert kit.chunks.expired_leases(10) == [ended.id], "a small step of the clock takes nothing away"


def taken_over(kit: Kit) -> tuple[Chunk, Chunk]:
    """Return a chunk with an expired lease, and the chunk of its new worker."""
    kit.sealed_job(uploads(1))
    lost = kit.claim()
    kit.chunks.release(lost.id, died=True)
    return lost, kit.claim()


def test_a_stale_chunk_cannot_write(kit: Kit) -> None:
    lost, held = taken_over(kit)
    assert not kit.chunks.renew(lost.id)
    assert kit.chunks.release(lost.id, died=True) == 0
    assert not kit.chunks.commit(lost, {"k0": UNREADABLE})
    assert kit.redis.hget(keys.COUNTERS, "stale_commits") == "1"
    assert kit.counted(held.job_id) == Counts(1)
    kit.finish(held, sure(0.7))
    assert not kit.chunks.commit(lost, {"k0": UNREADABLE})
    assert kit.redis.hget(keys.COUNTERS, "stale_commits") == "2"
    outcome = kit.store.item(held.job_id, "k0").outcome
    assert outcome is not None
    assert outcome.best is not None
    assert outcome.best.score == 0.7


def test_an_unknown_chunk_cannot_write(kit: Kit) -> None:
    unknown = Chunk(new_id(), new_id(), "net-1", (upload("a"),))
    assert not kit.chunks.renew(unknown.id)
    assert kit.chunks.release(unknown.id) == 0
    assert not kit.chunks.commit(unknown, {"a": sure()})
    assert set(kit.redis.scan_iter()) == {keys.COUNTERS}


def test_a_repeated_commit_changes_nothing(kit: Kit) -> None:
    job = kit.sealed_job(uploads(2))
    chunk = kit.claim()
    kit.finish(chunk, sure(0.8))
    before = kit.store.get(job), kit.results.finished(job, 10)
    assert kit.chunks.commit(chunk, {"k0": UNREADABLE, "k1": UNREADABLE}), "a repeated commit"
    assert kit.redis.hget(keys.COUNTERS, "duplicate_commits") == "1"
    assert 0 < kit.redis.ttl(keys.committed(chunk.id)) <= 60
    assert (kit.store.get(job), kit.results.finished(job, 10)) == before


def test_a_chunk_of_a_removed_job_leaves_no_keys(kit: Kit) -> None:
    job = kit.sealed_job(uploads(2))
    committed = kit.claim()
    kit.store.remove(job, force=True)
    kit.store.forget(job)
    assert not kit.chunks.commit(committed, dict.fromkeys(names(committed), sure()))
    assert kit.traces(job) == set()


@pytest.mark.parametrize("outcomes", [{}, {"k0": sure()}, {"k0": sure(), "k1": sure(), "x": sure()}, {"x": sure()}])
def test_a_commit_needs_exactly_its_chunks_items(kit: Kit, outcomes: dict[str, Outcome]) -> None:
    job = kit.sealed_job(uploads(2))
    chunk = kit.claim()
    with pytest.raises(ValueError, match="exactly"):
        kit.chunks.commit(chunk, outcomes)
    assert kit.counted(job) == Counts(2)
    kit.finish(chunk)


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -0.1, 1.5])
def test_a_score_that_is_not_a_probability_is_refused(kit: Kit, score: float) -> None:
    job = kit.sealed_job(uploads(2))
    chunk = kit.claim()
    wrong = Outcome(ItemState.SUCCEEDED, (Prediction(0, 0.9), Prediction(1, score)))
    with pytest.raises(ValueError, match="probability"):
        kit.chunks.commit(chunk, {"k0": sure(), "k1": wrong})
    assert kit.counted(job) == Counts(2)
    kit.finish(chunk)


def test_outcomes_round_trip(kit: Kit) -> None:
    job = kit.sealed_job(uploads(2))
    ended = {
        "k0": Outcome(ItemState.SUCCEEDED, (Prediction(7, 0.123456), Prediction(0, 0.1))),
        "k1": Outcome(ItemState.FAILED, failure=Failure("truncated", 'Ünfertig: {"}')),
    }
    assert kit.chunks.commit(kit.claim(), ended)
    for key, outcome in ended.items():
        found = kit.store.item(job, key).outcome
        assert found is not None
        assert (found.state, found.predictions, found.failure) == (outcome.state, outcome.predictions, outcome.failure)
        assert found.at == pytest.approx(now_ms(kit.redis) / 1000, abs=5)


def test_items_in_packs_are_for_workers_that_know_packs(kit: Kit) -> None:
    job = kit.open_job(uploads(1))
    assert kit.redis.hget(keys.job(job), "schema") == str(FIRST_SCHEMA)
    packed = replace(upload("packed"), pack="0123456789abcdef#7")
    assert kit.store.add(job, [packed], MANY) == [AddResult.ADDED]
    assert kit.redis.hget(keys.job(job), "schema") == str(WITH_PACKS)
    kit.store.add(job, uploads(2, "more"), MANY)
    assert kit.redis.hget(keys.job(job), "schema") == str(WITH_PACKS), "other items do not take that back"
    found = {each.key: each for each in kit.claim().uploads}
    assert found["packed"] == kit.store.item(job, "packed").upload == packed
    assert found["packed"].stored_as == "pack-0123456789abcdef#7+100"
    assert found["k0"].stored_as == found["k0"].sha256


def test_jobs_of_a_newer_schema_are_skipped(kit: Kit) -> None:
    newer, known = (kit.sealed_job(uploads(1)) for _ in range(2))
    kit.redis.hset(keys.job(newer), "schema", SCHEMA + 1)
    kit.finish(kit.claim())
    assert kit.store.get(known).state is JobState.SUCCEEDED
    assert kit.chunks.claim("worker", RINGS) is None
    kit.redis.hset(keys.job(newer), "schema", SCHEMA)
    assert kit.claim().job_id == newer


@pytest.mark.parametrize("others", [1, 30])
def test_owners_are_served_round_robin(kit: Kit, others: int) -> None:
    """Given many big jobs of ann, When bob and cleo submit one each, Then each owner has every third turn."""
    for _ in range(others):
        kit.sealed_job(uploads(6 * CHUNK_ITEMS), owner="ann")
    kit.finish(kit.claim())
    for owner in ("bob", "cleo"):
        kit.sealed_job(uploads(3 * CHUNK_ITEMS), owner=owner)
    owners = [kit.store.get(kit.claim().job_id).owner for _ in range(9)]
    assert [sorted(owners[start : start + 3]) for start in (0, 3, 6)] == [["ann", "bob", "cleo"]] * 3


def test_cancelled_jobs_do_not_delay_their_owner(kit: Kit) -> None:
    """Given cancelled jobs of ann, When she submits another, Then her turn is the same as without them."""
    cancelled = [kit.sealed_job(uploads(INTERACTIVE_ITEMS + 1), owner="ann") for _ in range(20)]
    kit.sealed_job(uploads(9 * CHUNK_ITEMS), owner="bob")
    for job in cancelled:
        kit.store.cancel(job)
    anns = kit.sealed_job(uploads(INTERACTIVE_ITEMS + 1), owner="ann")
    assert anns in {kit.claim().job_id for _ in range(2)}
    kit.work_off()
    assert not list(kit.redis.scan_iter("darkroom:ring:*"))


def test_a_repeated_claim_returns_the_same_chunk(kit: Kit) -> None:
    """The connection may break after Redis has run the script; the client then repeats it."""
    kit.sealed_job(uploads(CHUNK_ITEMS + 1))
    rings = keys.READY.values()
    words = ("worker", 1000, CHUNK_ITEMS, 1, CHUNK_BYTES, TOGETHER_BYTES, 1, 0, len(rings), *rings)
    scripts = Scripts(kit.redis)
    [first], [again] = (scripts.run("claim", *words, "c" * 32) for _ in range(2))
    assert len(first) == 6 + 2 * CHUNK_ITEMS
    assert again[5] >= first[5], "for how long the first item has waited is told anew"
    assert again[:5] + again[6:] == first[:5] + first[6:]
    assert len(scripts.run("claim", *words, "d" * 32)[0]) == 6 + 2


def single(kit: Kit, model: str = "net-1", size: int = 100, **how) -> str:
    """Create a job of one picture."""
    job = kit.sealed_job([upload("k", size=size)], **how)
    kit.redis.hset(keys.job(job), "model", model)
    return job


def test_jobs_of_one_small_picture_are_claimed_together(kit: Kit) -> None:
    """Up to the first job in the ring that is different; each is a chunk of its own."""
    first, second = single(kit, owner="ann"), single(kit, owner="bob")
    others = [
        single(kit, model="net-2"),
        kit.sealed_job(uploads(2)),
        single(kit, size=TOGETHER_BYTES + 1),
        kit.store.create(JobKind.IMPORT, retention_s=60, dataset="d" * 32, model="net-1"),
    ]
    kit.store.add(others[-1], [upload("k")], 10)
    last = single(kit, size=TOGETHER_BYTES)
    claims = [kit.chunks.claim_together("worker", RINGS) for _ in range(6)]
    assert {chunk.job_id for chunk in claims[0]} == {first, second}
    assert [[chunk.job_id for chunk in chunks] for chunks in claims[1:]] == [[other] for other in others] + [[last]]
    assert kit.chunks.claim_together("worker", RINGS) == []
    assert {name for chunks in claims for chunk in chunks for name in names(chunk)} == {"k", "k0", "k1"}
    assert len({chunk.id for chunks in claims for chunk in chunks}) == 7


def test_half_of_the_jobs_that_wait_are_left_to_others(kit: Kit) -> None:
    for _ in range(8):
        single(kit)
    assert [len(kit.chunks.claim_together("worker", RINGS)) for _ in range(5)] == [4, 2, 1, 1, 0]


def test_chunks_that_were_claimed_together_end_by_themselves(kit: Kit) -> None:
    """One lapses, one is of a job that was removed, the others are committed in one call, which may be repeated."""
    jobs = [single(kit) for _ in range(7)]
    lost, gone, *kept = kit.chunks.claim_together("worker", RINGS)
    kit.lapse(lost.id)
    assert kit.chunks.expired_leases(10) == [lost.id]
    kit.chunks.release(lost.id, died=True)
    kit.store.remove(gone.job_id, force=True)
    ended = [(chunk, {"k": sure()}) for chunk in (lost, gone, *kept)]
    assert [kit.chunks.commit_all(ended) for _ in range(2)] == [[False, False, True, True]] * 2
    assert [kit.store.get(job).state.done for job in jobs if job != gone.job_id] == [False, True, True] + 3 * [False]
    kit.work_off()
    assert kit.counted(lost.job_id) == Counts(1, succeeded=1)


def test_a_picture_whose_worker_died_is_claimed_alone(kit: Kit) -> None:
    jobs = [single(kit) for _ in range(3)]
    first = kit.claim()
    kit.chunks.release(first.id, died=True)
    claims = [kit.chunks.claim_together("worker", RINGS) for _ in range(2)]
    assert [[chunk.job_id for chunk in chunks] for chunks in claims] == [jobs[1:], jobs[:1]]
    for chunk in claims[0]:
        kit.chunks.release(chunk.id, died=True)
    assert [len(kit.chunks.claim_together("worker", RINGS)) for _ in range(3)] == [1, 1, 0]


def test_no_more_than_asked_for_are_claimed_together_and_a_repeated_claim_returns_the_same(kit: Kit) -> None:
    jobs = [single(kit) for _ in range(3)]
    rings = keys.READY.values()
    words = ("worker", 1000, CHUNK_ITEMS, 1, CHUNK_BYTES, TOGETHER_BYTES, 1, 0, len(rings), *rings, "c" * 32, "d" * 32)
    first, again = (Scripts(kit.redis).run("claim", *words) for _ in range(2))
    assert [chunk[:2] for chunk in first] == [["c" * 32, jobs[0]], ["d" * 32, jobs[1]]]
    assert [chunk[:2] for chunk in again] == [chunk[:2] for chunk in first]
    assert [chunk.job_id for chunk in kit.chunks.claim_together("worker", RINGS)] == jobs[2:]


def test_a_claim_handles_any_file_name(kit: Kit) -> None:
    odd = Upload("k", 'a {"b": 1} \\ "ü" 💥\n.png', 5, "0" * 64, "image/png", 1, 1)
    kit.sealed_job([odd])
    assert kit.claim().uploads == (odd,)


def test_a_chunk_of_an_import_names_the_dataset_and_the_labels(kit: Kit) -> None:
    job = kit.store.create(JobKind.IMPORT, retention_s=60, dataset="d" * 32, model="net-1")
    given = replace(upload("k"), label="cat", split="test")
    kit.store.add(job, [given], 10)
    chunk = kit.claim()
    assert (chunk.dataset, chunk.model, chunk.uploads) == ("d" * 32, "net-1", (given,))
    assert kit.store.get(job).dataset == "d" * 32


def test_a_job_whose_model_cannot_be_loaded_keeps_its_turn(kit: Kit) -> None:
    first, second = kit.sealed_job(uploads(20)), kit.sealed_job(uploads(2))
    for job_id, model in ((first, "net-1"), (second, "net-2")):
        kit.redis.hset(keys.job(job_id), "model", model)
    assert kit.chunks.claim("old", RINGS, except_models=["net-1", "net-2"]) is None
    chunk = kit.chunks.claim("old", RINGS, except_models=["net-2"])
    assert chunk is not None and chunk.job_id == first
    kit.finish(chunk)
    assert kit.claim().job_id == second


def test_a_chunk_may_be_smaller(kit: Kit) -> None:
    kit.sealed_job(uploads(20))
    chunk = kit.chunks.claim("worker", RINGS, max_items=16)
    assert chunk is not None and len(chunk.uploads) == 16
