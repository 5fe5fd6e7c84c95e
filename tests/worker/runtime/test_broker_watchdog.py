"""A worker that takes no messages any more is noticed; one that is busy, or has nothing to do, is not disturbed."""

from __future__ import annotations

import pytest

from shared.domain.entities import Queue
from shared.jobs.messenger import Messenger
from shared.services import Services
from worker.runtime.broker_watchdog import STALLED_AFTER_S, BrokerWatchdog


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def messenger(services: Services) -> Messenger:
    services.messenger._redis.flushdb()
    return services.messenger


@pytest.fixture
def watchdog(messenger: Messenger, clock: Clock) -> BrokerWatchdog:
    return BrokerWatchdog(messenger, [Queue.INTERACTIVE, Queue.BULK], clock)


def after(clock: Clock, seconds: float) -> None:
    clock.now += seconds


def test_nothing_waits(watchdog: BrokerWatchdog, clock: Clock) -> None:
    assert not watchdog.is_stalled()
    after(clock, 10 * STALLED_AFTER_S)
    assert not watchdog.is_stalled()


def test_messages_that_nobody_takes(watchdog: BrokerWatchdog, messenger: Messenger, clock: Clock) -> None:
    messenger.wake_workers(Queue.BULK)
    assert not watchdog.is_stalled()
    after(clock, STALLED_AFTER_S - 0.1)
    assert not watchdog.is_stalled()
    after(clock, 0.1)
    assert watchdog.is_stalled()


def test_messages_in_other_queues_do_not_matter(watchdog: BrokerWatchdog, messenger: Messenger, clock: Clock) -> None:
    messenger.wake_workers(Queue.TRAIN)
    watchdog.is_stalled()
    after(clock, 2 * STALLED_AFTER_S)
    assert not watchdog.is_stalled()


def test_a_turn_is_a_sign_of_hearing(watchdog: BrokerWatchdog, messenger: Messenger, clock: Clock) -> None:
    messenger.wake_workers(Queue.BULK)
    watchdog.is_stalled()
    after(clock, STALLED_AFTER_S - 1)
    with watchdog.busy():
        after(clock, 10 * STALLED_AFTER_S)
        assert not watchdog.is_stalled()
    assert not watchdog.is_stalled()
    after(clock, STALLED_AFTER_S - 1)
    assert not watchdog.is_stalled()


def test_an_empty_queue_begins_anew(watchdog: BrokerWatchdog, messenger: Messenger, clock: Clock) -> None:
    messenger.wake_workers(Queue.BULK)
    watchdog.is_stalled()
    after(clock, STALLED_AFTER_S - 1)
    messenger._redis.delete(Queue.BULK)
    assert not watchdog.is_stalled()
    messenger.wake_workers(Queue.BULK)
    after(clock, 2)
    assert not watchdog.is_stalled()
