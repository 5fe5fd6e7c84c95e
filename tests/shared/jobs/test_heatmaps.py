"""Heatmaps that are waited for: each is made once, and nothing stays of those that nobody wants any more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.entities import Failure
from shared.jobs import heatmaps
from shared.jobs.heatmaps import PATIENCE_S, Heatmap, HeatmapQueue
from shared.redis import keys
from shared.redis.connection import Client, now_ms

FIRST, SECOND = (Heatmap(f"fast-20260101-{n * 8}", "a" * 32, "b" * 64, 3, "b" * 64) for n in "12")


@pytest.fixture
def queue(each_redis: Client) -> HeatmapQueue:
    return HeatmapQueue(each_redis)


def test_text_and_blob() -> None:
    assert Heatmap.parse(FIRST.id) == FIRST
    packed = replace(FIRST, stored_as="pack-0123456789abcdef#7+100")
    assert Heatmap.parse(packed.id) == packed
    assert FIRST.blob_key == f"jobs/{'a' * 32}/heatmaps/{'b' * 64}-3"


def test_a_heatmap_is_asked_for_taken_and_stored(queue: HeatmapQueue) -> None:
    assert not queue.is_due() and not queue.is_pending(FIRST)
    queue.ask(FIRST)
    queue.ask(FIRST)
    queue.ask(SECOND)
    assert queue.is_due() and queue.is_pending(FIRST)
    assert queue.claim() == (FIRST, 1)
    assert queue.is_pending(FIRST)
    assert queue.claim() == (SECOND, 1)
    assert queue.claim() is None and not queue.is_due()
    queue.finish(FIRST)
    assert not queue.is_pending(FIRST) and queue.failure(FIRST) is None
    assert queue.is_pending(SECOND)


def test_a_failure_is_told_and_not_kept(queue: HeatmapQueue, each_redis: Client) -> None:
    queue.ask(FIRST)
    queue.claim()
    queue.finish(FIRST, Failure("missing", "It's gone."))
    assert not queue.is_pending(FIRST)
    assert queue.failure(FIRST) == Failure("missing", "It's gone.")
    assert 0 < each_redis.ttl(keys.heatmap(FIRST.id)) <= heatmaps.FAILURE_S


def test_a_worker_leaves_out_models_that_it_lacks(queue: HeatmapQueue) -> None:
    queue.ask(FIRST)
    queue.ask(SECOND)
    assert queue.claim([FIRST.model]) == (SECOND, 1)
    assert queue.claim([FIRST.model]) is None
    assert queue.claim() == (FIRST, 1)
    queue.give_back(FIRST)
    assert queue.claim() == (FIRST, 1)


def test_a_heatmap_whose_worker_died_is_lost_until_it_is_asked_for_again(
    queue: HeatmapQueue, each_redis: Client
) -> None:
    for tries in (1, 2):
        queue.ask(FIRST)
        assert queue.claim() == (FIRST, tries)
        assert 0 < each_redis.pttl(keys.heatmap(FIRST.id)) <= heatmaps.LEASE_S * 1000
        each_redis.delete(keys.heatmap(FIRST.id))  # the lease expires
        assert not queue.is_pending(FIRST) and queue.failure(FIRST) is None
    assert 0 < each_redis.pttl(keys.heatmap(FIRST.id, "tries")) <= heatmaps.TRIES_S * 1000


def test_nobody_waits_for_old_ones(queue: HeatmapQueue, each_redis: Client) -> None:
    each_redis.zadd(keys.HEATMAPS, {FIRST.id: now_ms(each_redis) - PATIENCE_S * 1000 - 1})
    assert queue.claim() is None and not queue.is_due() and not queue.is_pending(FIRST)
    queue.ask(FIRST)
    assert queue.claim() == (FIRST, 1)


def test_few_wait_at_the_same_time(queue: HeatmapQueue, each_redis: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heatmaps, "MAX_WAITING", 2)
    for label in range(5):
        queue.ask(replace(FIRST, label=label))
    assert each_redis.zcard(keys.HEATMAPS) == 2
