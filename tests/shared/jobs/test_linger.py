"""Workers that linger: a new small job wakes one of them without a message."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from shared.domain.entities import INTERACTIVE_ITEMS
from shared.redis import keys
from shared.redis.connection import Scripts, now_ms
from tests.conftest import PATIENCE_S, wait_until
from tests.shared.kit import Kit, uploads

MANY = 100


def linger(kit: Kit, worker: str, seconds: float = PATIENCE_S) -> None:
    """Begin to linger."""
    assert Scripts(kit.redis).run("linger", worker, int(seconds * 1000)) == 1


def added(kit: Kit, items: int) -> bool:
    """Add a job of this many items; return whether a worker was woken."""
    return kit.store.add_last(kit.open_job(listed=False), uploads(items), MANY)


def test_each_small_job_wakes_one_worker_that_lingers(kit: Kit) -> None:
    assert not added(kit, 1)
    kit.finish(kit.claim())
    for number, worker in enumerate(("first", "second")):
        linger(kit, worker, PATIENCE_S + number)
    assert [added(kit, 1) for _ in range(3)] == [True, True, False]
    assert not kit.redis.exists(keys.LINGERING)


def test_a_big_job_wakes_none(kit: Kit) -> None:
    linger(kit, "worker")
    assert not added(kit, INTERACTIVE_ITEMS + 1)
    assert added(kit, INTERACTIVE_ITEMS)


def test_a_worker_hears_that_it_is_woken(kit: Kit) -> None:
    kit.redis.rpush(keys.wake("worker"), "job")
    assert kit.chunks.linger("worker", 1)


def test_a_worker_that_nobody_wakes_is_not_listed_any_more(kit: Kit) -> None:
    assert not kit.chunks.linger("worker", 0.01)
    assert not kit.redis.exists(keys.LINGERING)


def test_a_worker_does_not_linger_while_a_small_job_waits(kit: Kit) -> None:
    added(kit, 1)
    assert not kit.chunks.linger("worker", 1)
    assert not kit.redis.exists(keys.LINGERING)


def test_a_worker_that_is_woken_when_its_time_is_up_looks_again(kit: Kit) -> None:
    with ThreadPoolExecutor(1) as pool:
        woken = pool.submit(wait_until, lambda: kit.redis.zrem(keys.LINGERING, "worker"), "it is taken off the list")
        wait_until(lambda: kit.chunks.linger("worker", 0.5), "it looks again")
        woken.result()


def test_a_worker_whose_time_is_up_is_not_woken(kit: Kit) -> None:
    kit.redis.zadd(keys.LINGERING, {"dead": now_ms(kit.redis) - 1})
    assert not added(kit, 1)
