"""A line of the log: JSON for programs, text for people, with what the line is about."""

from __future__ import annotations

import json
import logging
import sys

import pytest
from structlog.contextvars import clear_contextvars

from shared import logs


@pytest.fixture(autouse=True)
def nothing_said_before() -> None:
    """Requests that other tests made in this process have left their ids."""
    clear_contextvars()


def record(message: str, *args: object, error: bool = False, **extra: object) -> logging.LogRecord:
    """What a logger hands to its formatter."""
    info = sys.exc_info() if error else None
    return logging.getLogger("darkroom.test").makeRecord(
        "darkroom.test", logging.WARNING, __file__, 1, message, args, info, extra=extra
    )


def test_a_line_is_one_json_object() -> None:
    with logs.job_context("j" * 32, "request-1", chunk_id="c"):
        line = logs.formatter(readable=False).format(record("%s items\nof two lines", 3, stage_s=0.5))
    assert "\n" not in line
    found = json.loads(line)
    assert found.pop("timestamp").endswith("Z")
    assert found == {
        "event": "3 items\nof two lines",
        "level": "warning",
        "logger": "darkroom.test",
        "job_id": "j" * 32,
        "request_id": "request-1",
        "chunk_id": "c",
        "stage_s": 0.5,
    }


def test_what_a_line_was_about_is_forgotten_after_the_block() -> None:
    with logs.job_context("j" * 32, None):
        assert "request_id" not in json.loads(logs.formatter(readable=False).format(record("inside")))
    assert "job_id" not in json.loads(logs.formatter(readable=False).format(record("outside")))


def test_an_error_has_its_traceback_as_text() -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        found = json.loads(logs.formatter(readable=False).format(record("it failed", error=True)))
    assert found["event"] == "it failed"
    assert found["exception"].startswith("Traceback") and found["exception"].endswith("ValueError: broken")


def test_a_traceback_has_no_values_of_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for readable in (True, False):
        secret = "s3cret"[::-1]
        try:
            raise ValueError("broken")
        except ValueError:
            line = logs.formatter(readable=readable).format(record("it failed", error=True))
        assert "ValueError: broken" in line and secret not in line


def test_a_line_for_people_has_no_codes_where_nobody_wants_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    line = logs.formatter(readable=True).format(record("3 items", stage_s=0.5))
    assert "3 items" in line and "stage_s=0.5" in line and "warning" in line
    assert "\x1b" not in line and not line.startswith("{")
