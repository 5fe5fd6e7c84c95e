"""Whether this process's Celery worker still takes messages.

Celery 5.7 may lose its connection to Redis without noticing, seen when Redis was killed while a message was being
acknowledged: "Couldn't ack", and no attempt to connect again. The worker then lives, gives signs of life, and does
nothing.
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

#: Seconds for which messages wait and an idle process gets none of them before its worker counts as deaf.
STALLED_AFTER_S = 10.0


class BrokerWatchdog:
    """Notices a deaf worker, by what waits in its queues while this process has nothing to do."""

    def __init__(
        self, messenger: Messenger, queues: Sequence[Queue], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._messenger, self._queues, self._clock = messenger, queues, clock
        self._busy = False
        #: Since when messages wait that did not come here; None while there are none, or while this process works.
        self._unserved_since: float | None = None

    @contextmanager
    def busy(self) -> Iterator[None]:
        """A message has come; the block is the work that it set off."""
        self._busy, self._unserved_since = True, None
        try:
            yield
        finally:
            self._busy, self._unserved_since = False, None

    def is_stalled(self) -> bool:
        """Look, every few seconds. Raises Unavailable where Redis cannot be reached."""
        if self._busy or not any(map(self._messenger.message_count, self._queues)):
            self._unserved_since = None
            return False
        if self._unserved_since is None:
            self._unserved_since = self._clock()
        return self._clock() - self._unserved_since >= STALLED_AFTER_S

    def check(self) -> None:
        """End the worker where it is deaf, for its supervisor to start it anew. Raises Unavailable."""
        if self.is_stalled():
            log.error("messages wait, but this worker takes none: it ends, to be started again")
            os.kill(os.getppid(), signal.SIGTERM)
