"""After any order of calls on the job store, each item is in one place and the counts equal the items."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import closing
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from cli.stack.embedded_redis import redis_server_path
from shared.domain.entities import Chunk, Counts, Failure, Item, ItemState, Job, JobState, Outcome
from shared.domain.errors import Conflict
from shared.jobs.chunks import CHUNK_BYTES
from shared.jobs.store import AddResult
from shared.redis import keys
from shared.redis.connection import Client, connect
from tests.conftest import running_redis
from tests.shared.kit import MANY, REFUSED, RINGS, UNREADABLE, Kit, names, sure, upload

#: Two items per chunk, so that a small job needs several chunks.
HALF_A_CHUNK = CHUNK_BYTES // 2


class StoreMachine(RuleBasedStateMachine):
    """Calls of the web process, the workers and the reconciler, in any order."""

    jobs = Bundle("jobs")
    chunks = Bundle("chunks")
    lost = Bundle("lost")

    def __init__(self, client: Client) -> None:
        super().__init__()
        self.kit = Kit(client)
        self.items: dict[str, list[str]] = {}
        self.refused: set[tuple[str, str]] = set()
        self.committed: set[str] = set()
        self.succeeded: dict[tuple[str, str], Outcome] = {}
        self.seen: dict[str, tuple[int, object]] = {}

    @initialize()
    def empty(self) -> None:
        self.kit.redis.flushall()

    @rule(target=jobs, count=st.integers(0, 5), sealed=st.booleans(), owner=st.sampled_from(["ann", "bob", "local"]))
    def create(self, count: int, sealed: bool, owner: str) -> str:
        job = self.kit.open_job(owner=owner)
        self.items[job] = []
        self.add(job, count, refused=False)
        if sealed and count:
            self.kit.store.seal(job)
        return job

    @rule(job=jobs, count=st.integers(1, 3), refused=st.booleans())
    def add(self, job: str, count: int, refused: bool) -> None:
        known = self.items.get(job)
        if known is None:
            return
        new = [
            upload(f"k{len(known) + number}", size=HALF_A_CHUNK, failure=REFUSED if refused else None)
            for number in range(count)
        ]
        try:
            assert self.kit.store.add(job, new, MANY) == [AddResult.ADDED] * count
        except Conflict:
            assert self.kit.store.get(job).sealed
        else:
            known += [each.key for each in new]
            self.refused |= {(job, each.key) for each in new if refused}

    @rule(job=jobs)
    def seal(self, job: str) -> None:
        if self.items.get(job):
            self.kit.store.seal(job)
            assert self.kit.store.get(job).sealed

    @rule(target=chunks)
    def claim(self):
        chunk = self.kit.chunks.claim("worker", RINGS)
        if chunk is None:
            assert not any(self.claimable(job) for job in self.items)
            return multiple()
        assert chunk.uploads
        assert len(chunk.uploads) <= 2
        return chunk

    @rule(target=lost, chunk=consumes(chunks), good=st.booleans())
    def commit(self, chunk: Chunk, good: bool) -> Chunk:
        outcomes = {key: sure(0.5) if good else UNREADABLE for key in names(chunk)}
        assert self.kit.chunks.commit(chunk, outcomes) == (chunk.job_id in self.items)
        if chunk.job_id in self.items:
            self.committed.add(chunk.id)
        return chunk

    @rule(target=lost, chunk=consumes(chunks), died=st.booleans())
    def release(self, chunk: Chunk, died: bool) -> Chunk:
        here = chunk.job_id in self.items
        assert self.kit.chunks.release(chunk.id, died=died) == (len(chunk.uploads) if here else 0)
        return chunk

    @rule(target=lost, chunk=consumes(chunks))
    def lapse(self, chunk: Chunk) -> Chunk:
        self.kit.lapse(chunk.id)
        assert self.kit.chunks.expired_leases(10) == [chunk.id]
        self.kit.chunks.release(chunk.id, died=True)
        return chunk

    @rule(chunk=lost)
    def use_a_lost_chunk(self, chunk: Chunk) -> None:
        repeated = self.kit.chunks.commit(chunk, dict.fromkeys(names(chunk), sure(0.1)))
        assert repeated == (chunk.id in self.committed)
        assert not self.kit.chunks.renew(chunk.id)
        assert self.kit.chunks.release(chunk.id, died=True) == 0

    @rule(job=jobs, cancelled=st.booleans())
    def stop(self, job: str, cancelled: bool) -> None:
        if job in self.items:
            over = self.kit.store.get(job).state.done
            store = self.kit.store
            assert (store.cancel(job) if cancelled else store.fail(job, Failure("x", "y"))) != over

    @rule(job=jobs)
    def retry(self, job: str) -> None:
        if job in self.items:
            before = self.kit.states(job)
            try:
                queued = self.kit.store.retry(job)
            except Conflict:
                return
            after = self.kit.states(job)
            moved = {key for key in before if before[key] != after[key]}
            assert len(moved) == queued > 0
            assert {before[key] for key in moved} <= {ItemState.FAILED, ItemState.CANCELLED}
            assert not {(job, key) for key in moved} & self.refused

    @precondition(lambda self: any(self.over(job) for job in self.items))
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from([job for job in self.items if self.over(job)]))
        self.kit.store.remove(job)
        assert self.kit.traces(job) == {keys.REMOVING}
        self.kit.store.forget(job)
        assert self.kit.traces(job) == set()
        del self.items[job]

    @invariant()
    def what_must_always_be_true(self) -> None:
        held, jobs = self.held(), {job: self.kit.store.get(job) for job in self.items}
        self.each_waiting_job_has_one_turn(jobs)
        self.each_owner_keeps_its_open_jobs(jobs)
        for job, added in self.items.items():
            found, items = jobs[job], self.kit.results.items(job, MANY).items
            self.each_item_is_in_exactly_one_place(job, held[job])
            self.the_counts_equal_the_items(found, items)
            self.the_job_is_over_exactly_when_all_items_have_ended(found, len(added))
            self.a_success_never_changes(job, items)
            self.the_revision_tells_every_change(found)
            self.the_results_hold_each_ended_item_once(job, items)

    def each_waiting_job_has_one_turn(self, jobs: dict[str, Job]) -> None:
        redis = self.kit.redis
        standing = [job for ring in keys.READY.values() for job in redis.zrange(ring, 0, -1)]
        assert sorted(standing) == sorted(job for job in self.items if self.claimable(job) and not self.ending(job))
        for ring in keys.READY.values():
            owners = Counter(f"owner:{jobs[job].owner}" for job in redis.zrange(ring, 0, -1))
            counts = redis.hgetall(f"{ring}:counts")
            assert {name: count for name, count in counts.items() if name.startswith("owner:")} == {
                owner: str(number) for owner, number in owners.items()
            }

    def each_owner_keeps_its_open_jobs(self, jobs: dict[str, Job]) -> None:
        for owner in ("ann", "bob", "local"):
            found = self.kit.redis.smembers(f"darkroom:unfinished:{owner}")
            mine = [job for job in jobs.values() if job.owner == owner]
            assert found == {job.id for job in mine if not job.state.done}

    def held(self) -> dict[str, list[str]]:
        """Return the items in chunks by job."""
        redis, held = self.kit.redis, {job: [] for job in self.items}
        for chunk in redis.scan_iter("darkroom:chunk:*", count=1000):
            assert redis.zscore(keys.LEASES, chunk.rpartition(":")[2]) is not None
            job, claimed = redis.hmget(chunk, "job", "items")
            held[job] += json.loads(claimed)
        return held

    def each_item_is_in_exactly_one_place(self, job: str, held: list[str]) -> None:
        pending = self.kit.redis.lrange(keys.job(job, "pending"), 0, -1)
        ended = self.kit.redis.hkeys(keys.job(job, "outcomes"))
        assert sorted(pending + held + ended) == sorted(self.items[job])

    def the_counts_equal_the_items(self, found: Job, items: list[Item]) -> None:
        states = Counter(item.state for item in items)
        assert found.counts == Counts(
            len(self.items[found.id]),
            states[ItemState.SUCCEEDED],
            states[ItemState.FAILED],
            states[ItemState.CANCELLED],
        )

    def the_job_is_over_exactly_when_all_items_have_ended(self, found: Job, added: int) -> None:
        assert found.state.done == (found.sealed and found.counts.finished == added)
        assert (found.finished_at is not None) == found.state.done
        if found.state in (JobState.CANCELLING, JobState.CANCELLED, JobState.FAILED):
            assert not self.claimable(found.id)
        if found.state.done:
            assert found.queue_position is None

    def a_success_never_changes(self, job: str, items: list[Item]) -> None:
        for item in items:
            place = (job, item.upload.key)
            if item.state is ItemState.SUCCEEDED or place in self.succeeded:
                assert item.outcome == self.succeeded.setdefault(place, item.outcome)

    def the_revision_tells_every_change(self, found: Job) -> None:
        told = (found.state, found.counts, found.failure)
        revision, before = self.seen.get(found.id, (-1, None))
        assert found.revision > revision if told != before else found.revision >= revision
        self.seen[found.id] = (found.revision, told)

    def the_results_hold_each_ended_item_once(self, job: str, items: list[Item]) -> None:
        found = [item.upload.key for item in self.kit.results.finished(job, MANY).items]
        assert sorted(found) == sorted(item.upload.key for item in items if item.outcome)

    def teardown(self) -> None:
        """Check that each sealed job ends once the remaining chunks are processed."""
        for chunk in [name.rpartition(":")[2] for name in self.kit.redis.scan_iter("darkroom:chunk:*")]:
            self.kit.chunks.release(chunk)
        self.kit.work_off()
        for job, added in self.items.items():
            found = self.kit.store.get(job)
            assert found.counts.finished == len(added)
            assert found.state.done == found.sealed

    def over(self, job: str) -> bool:
        return self.kit.store.get(job).state.done

    def ending(self, job: str) -> bool:
        return bool(self.kit.redis.hexists(keys.job(job), "ending"))

    def claimable(self, job: str) -> bool:
        return self.kit.redis.llen(keys.job(job, "pending")) > 0


def test_no_order_of_calls_loses_or_duplicates_an_item(tmp_path: Path) -> None:
    with running_redis(redis_server_path(), tmp_path) as url, closing(connect(url)) as client:
        steps = settings(max_examples=min(20, settings().max_examples), stateful_step_count=30)
        run_state_machine_as_test(lambda: StoreMachine(client), settings=steps)
