"""Signs of life of `reconcile` and `deliver`."""

from __future__ import annotations

import math

import pytest

from shared.jobs.rounds import DELIVER, EVERY_S, RECONCILE, Rounds
from shared.redis import keys
from shared.redis.connection import Client


def test_a_program_is_silent_since_it_was_recorded(each_redis: Client) -> None:
    """Given it goes on all the time, Then it is recorded once in EVERY_S seconds."""
    now = 0.0
    rounds = Rounds(each_redis, lambda: now)
    assert rounds.silent_s() == {RECONCILE: math.inf, DELIVER: math.inf}
    for at, seconds in ((0.0, 0), (EVERY_S - 1, 60), (EVERY_S, 0)):
        now = at
        rounds.record(RECONCILE)
        assert rounds.silent_s() == {RECONCILE: pytest.approx(seconds, abs=30), DELIVER: math.inf}
        each_redis.hincrby(keys.ROUNDS, RECONCILE, -60_000)


def test_a_clock_that_was_set_back_is_no_silence(each_redis: Client) -> None:
    rounds = Rounds(each_redis)
    rounds.record(DELIVER)
    each_redis.hincrby(keys.ROUNDS, DELIVER, 3_600_000)
    assert rounds.silent_s()[DELIVER] == 0
