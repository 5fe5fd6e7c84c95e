"""Log lines: JSON for programs, text for people, with their context."""

from __future__ import annotations

import json
import logging
import sys

import pytest
from structlog.contextvars import clear_contextvars

from shared import logs


@pytest.fixture(autouse=True)
def no_context() -> None:
    """Remove the context that other tests have left."""
    clear_contextvars()


def record(message: str, *args: object, error: bool = False, **extra: object) -> logging.LogRecord:
    """Return a record as a logger passes it to its formatter."""
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


def test_the_context_ends_with_the_block() -> None:
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


def test_no_color_disables_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    line = logs.formatter(readable=True).format(record("3 items", stage_s=0.5))
    assert "3 items" in line and "stage_s=0.5" in line and "warning" in line
    assert "\x1b" not in line and not line.startswith("{")
