"""Detection of a Celery worker that has silently lost its broker connection.

Celery 5.7 may not notice that its connection to Redis is gone. It happened when Redis was killed during an
acknowledgement: the log said "Couldn't ack" and the worker never reconnected. It stayed alive, sent heartbeats and did
no work.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from shared.domain.entities import Queue
from shared.jobs.messenger import Messenger

log = logging.getLogger(__name__)

#: Seconds for which an idle process may receive nothing from a non-empty queue before it counts as stalled.
STALLED_AFTER_S = 10.0


class BrokerWatchdog:
    """A watchdog that compares the backlog of the process's queues with what the process receives."""

    def __init__(
        self, messenger: Messenger, queues: Sequence[Queue], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._messenger, self._queues, self._clock = messenger, queues, clock
        self._busy = False
        #: Time since which messages wait while this process is idle; None if the queues are empty or it is busy.
        self._backlog_since: float | None = None

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Mark the process as busy while the block handles a message."""
        self._busy, self._backlog_since = True, None
        try:
            yield
        finally:
            self._busy, self._backlog_since = False, None

    def is_stalled(self) -> bool:
        """Return whether the worker is stalled. Call it every few seconds. Raise Unavailable without Redis."""
        if self._busy or not any(map(self._messenger.message_count, self._queues)):
            self._backlog_since = None
            return False
        if self._backlog_since is None:
            self._backlog_since = self._clock()
        return self._clock() - self._backlog_since >= STALLED_AFTER_S

    def check(self) -> None:
        """Stop a stalled worker, so that its supervisor restarts it. Raise Unavailable without Redis."""
        if self.is_stalled():
            log.error("messages are waiting, but this worker receives none: stopping it for a restart")
            os.kill(os.getppid(), signal.SIGTERM)
