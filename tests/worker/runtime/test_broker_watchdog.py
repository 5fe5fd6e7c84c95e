"""The watchdog detects an idle worker with a backlog. A busy worker or an empty queue is not stalled."""

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


def test_a_worker_with_empty_queues_is_not_stalled(watchdog: BrokerWatchdog, clock: Clock) -> None:
    assert not watchdog.is_stalled()
    after(clock, 10 * STALLED_AFTER_S)
    assert not watchdog.is_stalled()


def test_an_idle_worker_with_a_backlog_is_stalled(watchdog: BrokerWatchdog, messenger: Messenger, clock: Clock) -> None:
    messenger.wake_workers(Queue.BULK)
    assert not watchdog.is_stalled()
    after(clock, STALLED_AFTER_S - 0.1)
    assert not watchdog.is_stalled()
    after(clock, 0.1)
    assert watchdog.is_stalled()


def test_a_backlog_in_another_queue_is_ignored(watchdog: BrokerWatchdog, messenger: Messenger, clock: Clock) -> None:
    messenger.wake_workers(Queue.TRAIN)
    watchdog.is_stalled()
    after(clock, 2 * STALLED_AFTER_S)
    assert not watchdog.is_stalled()


def test_a_received_message_restarts_the_clock(watchdog: BrokerWatchdog, messenger: Messenger, clock: Clock) -> None:
    messenger.wake_workers(Queue.BULK)
    watchdog.is_stalled()
    after(clock, STALLED_AFTER_S - 1)
    with watchdog.busy():
        after(clock, 10 * STALLED_AFTER_S)
        assert not watchdog.is_stalled()
    assert not watchdog.is_stalled()
    after(clock, STALLED_AFTER_S - 1)
    assert not watchdog.is_stalled()


def test_an_empty_queue_restarts_the_clock(watchdog: BrokerWatchdog, messenger: Messenger, clock: Clock) -> None:
    messenger.wake_workers(Queue.BULK)
    watchdog.is_stalled()
    after(clock, STALLED_AFTER_S - 1)
    messenger._redis.delete(Queue.BULK)
    assert not watchdog.is_stalled()
    messenger.wake_workers(Queue.BULK)
    after(clock, 2)
    assert not watchdog.is_stalled()
