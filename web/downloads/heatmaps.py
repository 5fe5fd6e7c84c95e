"""Heatmaps: stored ones, and new ones from a worker, for which a request waits a few seconds."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from threading import BoundedSemaphore

from shared.domain.entities import Failure, Queue
from shared.domain.errors import Conflict, DarkroomError, NotFound, Unavailable
from shared.jobs.heatmaps import Heatmap, HeatmapQueue
from shared.jobs.messenger import Messenger
from shared.storage.blobs import BlobStore

#: Seconds that a request waits for a worker, which takes a fraction of one if it has the model in memory.
WAIT_S = 10.0
#: Seconds between two looks: short at first, then growing.
MIN_POLL_S, MAX_POLL_S, POLL_GROWTH = 0.005, 0.1, 1.2
#: Errors for the codes of failures; any other code is a Conflict.
ERRORS: dict[str, type[DarkroomError]] = {"missing": NotFound, "unavailable": Unavailable}


@dataclass(frozen=True)
class HeatmapService:
    """Finds heatmaps. As many requests of this process wait for a worker as there are `slots`."""

    queue: HeatmapQueue
    messenger: Messenger
    blobs: BlobStore
    slots: BoundedSemaphore

    def png(self, wanted: Heatmap) -> bytes:
        """Return the stored PNG, or wait until a worker has made it.

        Raise NotFound if the picture or its job is gone, Conflict if it cannot be made, Unavailable if it takes too
        long.
        """
        with suppress(NotFound):
            return self.blobs.get(wanted.blob_key)
        if not self.slots.acquire(blocking=False):
            raise Unavailable("other requests wait for heatmaps: ask again in a moment")
        try:
            self._wait(wanted)
        finally:
            self.slots.release()
        if failure := self.queue.failure(wanted):
            raise error_of(failure)
        return self._stored(wanted)

    def _wait(self, wanted: Heatmap) -> None:
        """Have a worker make the heatmap, and wait until it has ended. Raise Unavailable."""
        if not self.queue.is_pending(wanted):
            self.queue.ask(wanted)
            self.messenger.wake_for_items(Queue.INTERACTIVE, 1)
        deadline, pause = time.monotonic() + WAIT_S, MIN_POLL_S
        while self.queue.is_pending(wanted):
            if time.monotonic() > deadline:
                raise Unavailable(f"no worker has made the heatmap within {WAIT_S:g} s: ask again in a moment")
            time.sleep(pause)
            pause = min(pause * POLL_GROWTH, MAX_POLL_S)

    def _stored(self, wanted: Heatmap) -> bytes:
        try:
            return self.blobs.get(wanted.blob_key)
        except NotFound as error:
            raise Unavailable("the heatmap was lost while it was made: ask again") from error


def error_of(failure: Failure) -> DarkroomError:
    """Return the error for why a heatmap cannot be made."""
    return ERRORS.get(failure.code, Conflict)(f"there is no heatmap: {failure.detail}")
