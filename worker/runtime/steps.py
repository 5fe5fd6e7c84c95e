"""Steps that are repeated for as long as the program runs, whatever goes wrong."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from shared.domain.errors import DarkroomError
from shared.logs import with_cause

T = TypeVar("T")


class Step(Generic[T]):
    """A step of a loop. No exception leaves it; each is logged when it first occurs, and so is the recovery."""

    def __init__(self, name: str, run: Callable[[], T], log: logging.Logger) -> None:
        """`name` says in the log what fails, such as "the heartbeat"."""
        self._name, self._run, self._log = name, run, log
        self._problem, self._since = "", 0.0

    def __call__(self) -> T | None:
        """Run the step once. Return its result, or None if it failed."""
        try:
            result = self._run()
        except Exception as error:  # noqa: BLE001  # the loop must go on
            self._report(error)
            return None
        self._recover()
        return result

    def _report(self, error: Exception) -> None:
        problem = repr(error)  # not the cause, whose text may differ each time
        if not self._problem:
            self._since = time.monotonic()
        if problem != self._problem:
            unexpected = None if isinstance(error, DarkroomError) else error
            self._log.warning("%s fails and is retried: %s", self._name, with_cause(error), exc_info=unexpected)
        self._problem = problem

    def _recover(self) -> None:
        if self._problem:
            self._log.info("%s works again after %.0f s", self._name, time.monotonic() - self._since)
        self._problem = ""
