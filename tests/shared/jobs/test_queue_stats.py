"""Queue statistics."""

from __future__ import annotations

from shared.domain.entities import Queue
from shared.jobs.chunks import CHUNK_ITEMS
from shared.jobs.queue_stats import HISTORY_MINUTES, SCANNED_JOBS, QueueStats
from shared.redis import keys
from shared.redis.connection import now_ms
from tests.shared.kit import uploads


def state(kit, queue):
    found = {each.queue: each for each in QueueStats(kit.redis).all()}
    assert list(found) == list(Queue)
    return found[queue]


def test_empty_queues(kit):
    for queue in Queue:
        empty = state(kit, queue)
        assert (empty.jobs, empty.depth, empty.oldest_age_s, empty.rate) == (0, 0, None, 0.0)
        assert empty.per_minute == (0,) * HISTORY_MINUTES


def test_depth_and_oldest_age(kit):
    first = kit.sealed_job(uploads(300))
    kit.sealed_job(uploads(20, "m"))
    small = kit.sealed_job(uploads(2, "s"))
    kit.store.submit_training({"preset": "seed"}, retention_s=3600)
    created = now_ms(kit.redis) - 90_000
    kit.redis.hset(keys.job(first), "created_at", created)
    bulk = state(kit, Queue.BULK)
    assert (bulk.jobs, bulk.depth) == (2, 320)
    assert 90 <= bulk.oldest_age_s <= 95
    assert (state(kit, Queue.INTERACTIVE).depth, state(kit, Queue.TRAIN).depth) == (2, 1)
    assert kit.claim().job_id == small
    kit.claim()
    assert state(kit, Queue.INTERACTIVE).jobs == 0
    assert state(kit, Queue.BULK).depth == 320 - CHUNK_ITEMS


def test_the_item_count_is_limited_to_scanned_jobs(kit):
    for _ in range(SCANNED_JOBS + 5):
        kit.open_job(uploads(1))
    waiting = state(kit, Queue.INTERACTIVE)
    assert (waiting.jobs, waiting.depth) == (SCANNED_JOBS + 5, SCANNED_JOBS)


def test_finished_items_are_counted_per_minute_and_queue(kit):
    kit.sealed_job(uploads(30))
    kit.sealed_job(uploads(3, "s"))
    kit.work_off()
    bulk, interactive = state(kit, Queue.BULK), state(kit, Queue.INTERACTIVE)
    assert (sum(bulk.per_minute[-2:]), sum(interactive.per_minute[-2:])) == (30, 3)
    assert 0 < interactive.rate < bulk.rate <= 0.5
    assert all(0 < kit.redis.ttl(key) <= 3660 for key in kit.redis.scan_iter("darkroom:done:*"))


def test_a_repeated_commit_is_counted_once(kit):
    kit.sealed_job(uploads(20))
    chunk = kit.claim()
    for _ in range(2):
        kit.finish(chunk)
    assert sum(state(kit, Queue.BULK).per_minute) == 20
