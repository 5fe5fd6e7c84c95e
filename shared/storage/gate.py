"""A gate in front of a blob store that may hang: only some of a program's threads wait for it at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from shared.domain.errors import NotFound, StorageFull, Unavailable

#: Seconds that a thread waits for a free place.
WAIT_S = 0.5


class Gate:
    """At most `places` threads use the storage; while it fails, one tries it and all others are turned away at once."""

    def __init__(self, places: int) -> None:
        self._places = threading.BoundedSemaphore(places)
        self._probe = threading.Lock()
        self._problem: str | None = None

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Run the block, which uses the storage. Raise Unavailable if the storage fails or no place becomes free."""
        place = self._probe if self._problem else self._places
        if not place.acquire(timeout=0 if self._problem else WAIT_S):
            raise Unavailable(self._problem or "the storage is slow: too many requests are waiting for it")
        try:
            yield
        except Unavailable as error:
            self._problem = str(error)
            raise
        except (NotFound, StorageFull):
            self._problem = None
            raise
        else:
            self._problem = None
        finally:
            place.release()
