"""A worker that takes no messages any more is noticed; one that is busy, or has nothing to do, is not disturbed."""

from __future__ import annotations

import pytest

from shared.domain.entities import Queue
from shared.jobs.messenger import Messenger
from shared.services import Services
from worker.hearing import DEAF_S, Hearing


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
def hearing(messenger: Messenger, clock: Clock) -> Hearing:
    return Hearing(messenger, [Queue.INTERACTIVE, Queue.BULK], clock)


def after(clock: Clock, seconds: float) -> None:
    clock.now += seconds


def test_nothing_waits(hearing: Hearing, clock: Clock) -> None:
    assert not hearing.is_deaf()
    after(clock, 10 * DEAF_S)
    assert not hearing.is_deaf()


def test_messages_that_nobody_takes(hearing: Hearing, messenger: Messenger, clock: Clock) -> None:
    messenger.wake(Queue.BULK)
    assert not hearing.is_deaf()
    after(clock, DEAF_S - 0.1)
    assert not hearing.is_deaf()
    after(clock, 0.1)
    assert hearing.is_deaf()


def test_messages_in_the_queue_of_others_are_no_matter(hearing: Hearing, messenger: Messenger, clock: Clock) -> None:
    messenger.wake(Queue.TRAIN)
    hearing.is_deaf()
    after(clock, 2 * DEAF_S)
    assert not hearing.is_deaf()


def test_a_turn_is_a_sign_of_hearing(hearing: Hearing, messenger: Messenger, clock: Clock) -> None:
    messenger.wake(Queue.BULK)
    hearing.is_deaf()
    after(clock, DEAF_S - 1)
    with hearing.turn():
        after(clock, 10 * DEAF_S)
        assert not hearing.is_deaf()
    assert not hearing.is_deaf()
    after(clock, DEAF_S - 1)
    assert not hearing.is_deaf()


def test_an_empty_queue_begins_anew(hearing: Hearing, messenger: Messenger, clock: Clock) -> None:
    messenger.wake(Queue.BULK)
    hearing.is_deaf()
    after(clock, DEAF_S - 1)
    messenger._redis.delete(Queue.BULK)
    assert not hearing.is_deaf()
    messenger.wake(Queue.BULK)
    after(clock, 2)
    assert not hearing.is_deaf()
