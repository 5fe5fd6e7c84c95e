"""A step never ends its loop. It logs each problem once, and the recovery."""

from __future__ import annotations

import logging

import pytest

from shared.domain.errors import Unavailable
from worker.runtime.steps import Step


def test_a_step_survives_every_error_and_logs_each_once(caplog: pytest.LogCaptureFixture) -> None:
    errors = [Unavailable("Redis is away"), Unavailable("Redis is away"), KeyError("x"), KeyError("x"), None, None]

    def run() -> str:
        if error := errors.pop(0):
            raise error from OSError("port 6379")
        return "done"

    step = Step("the heartbeat", run, logging.getLogger("test"))
    with caplog.at_level(logging.INFO):
        results = [step() for _ in range(6)]
    assert results == [None] * 4 + ["done"] * 2
    first, second, recovered = caplog.records
    assert first.getMessage() == "the heartbeat fails and is retried: Redis is away (port 6379)"
    assert first.exc_info is None and second.exc_info
    assert recovered.getMessage() == "the heartbeat works again after 0 s"
