"""Notices of ended jobs wake the threads that wait for them, and a lost notice delays them only a little."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.domain.entities import JobState
from shared.domain.errors import NotFound
from shared.jobs import ended, waiter
from shared.jobs.ended import EndedJobs
from shared.jobs.waiter import JobWaiter
from tests.conftest import PATIENCE_S, wait_until
from tests.shared.kit import Kit, uploads


@pytest.fixture
def listening(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> EndedJobs:
    """Return the notices once they arrive: nothing else wakes a waiting thread."""
    monkeypatch.setattr(waiter, "MAX_POLL_S", 10 * PATIENCE_S)
    monkeypatch.setattr(waiter, "MIN_POLL_S", 10 * PATIENCE_S)
    notices = EndedJobs(kit.redis)
    with notices.noticing("none"):
        wait_until(lambda: notices.is_listening, "notices arrive")
    return notices


def test_those_who_wait_for_the_end_of_a_job_are_woken(kit: Kit, listening: EndedJobs) -> None:
    mine, other = kit.sealed_job(uploads(1)), kit.sealed_job(uploads(1))
    wait = JobWaiter(3, listening)
    with ThreadPoolExecutor(3) as pool:
        job = kit.store.get(mine)
        waiting = [pool.submit(wait.until_end, kit.store, mine, PATIENCE_S) for _ in range(2)]
        waiting.append(pool.submit(wait.wait, kit.store, job, PATIENCE_S, lambda now: now.state.done))
        wait_until(lambda: len(listening._waiting[mine]) == 3, "all wait")
        kit.store.cancel(other)
        assert not any(each.done() for each in waiting)
        kit.finish(kit.claim())
        assert [each.result(PATIENCE_S).state for each in waiting] == [JobState.SUCCEEDED] * 3
    assert listening._waiting == {}


def test_a_job_that_has_ended_already_is_not_waited_for(kit: Kit, listening: EndedJobs) -> None:
    job = kit.sealed_job(uploads(1))
    kit.work_off()
    assert JobWaiter(1, listening).until_end(kit.store, job, PATIENCE_S).state is JobState.SUCCEEDED


def test_a_lost_notice_delays_only_until_the_next_look(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ended.keys, "ENDED", "another-channel")
    job = kit.sealed_job(uploads(1))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(JobWaiter(1, EndedJobs(kit.redis)).until_end, kit.store, job, PATIENCE_S)
        kit.work_off()
        assert waiting.result(PATIENCE_S).state is JobState.SUCCEEDED


def test_waiting_for_the_end_ends_after_its_time_and_without_a_place_at_once(kit: Kit) -> None:
    job, wait = kit.sealed_job(uploads(1)), JobWaiter(1, EndedJobs(kit.redis))
    assert not wait.until_end(kit.store, job, 0.01).state.done
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(wait.until_end, kit.store, job, 10 * PATIENCE_S)
        wait_until(lambda: wait._ended._waiting[job], "one waits")
        assert not wait.until_end(kit.store, job, 10 * PATIENCE_S).state.done
        kit.work_off()
        assert first.result(PATIENCE_S).state.done
    with pytest.raises(NotFound):
        wait.until_end(kit.store, "0" * 32, 1)


def test_the_subscription_ends_if_nobody_waits_or_redis_fails_and_begins_anew(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ended, "KEEP_S", 0)
    monkeypatch.setattr(ended, "LOOK_S", 0.01)
    notices = EndedJobs(kit.redis)
    for _ in range(2):
        with notices.noticing("a"):
            wait_until(lambda: notices.is_listening, "notices arrive")
        wait_until(lambda: notices._thread is None and not notices.is_listening, "the subscription ends")
    with notices.noticing("a"):
        wait_until(lambda: notices.is_listening, "notices arrive")
        monkeypatch.setattr(ended, "KEEP_S", 10 * PATIENCE_S)
        for client in kit.redis.client_list("pubsub"):
            kit.redis.client_kill_filter(_id=client["id"])
        job = kit.sealed_job(uploads(1))
        with notices.noticing(job) as woken:
            wait_until(lambda: kit.redis.pubsub_numsub("darkroom:ended")[0][1], "they do again")
            kit.work_off()
            assert woken.wait(PATIENCE_S)
