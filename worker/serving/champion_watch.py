"""The thread that loads a new champion while the worker continues with its jobs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from shared.domain.errors import DarkroomError, Unavailable
from shared.logs import with_cause
from shared.models.registry import Registry
from worker.serving.models import ModelCache

log = logging.getLogger(__name__)

#: Seconds between two polls: a promotion takes effect within 2 s, most of which is for loading.
POLL_S = 0.5
#: Seconds before a champion that could not be loaded is tried again; each attempt costs about one second of work.
RETRY_S = 10.0


class ChampionWatcher:
    """A watcher that keeps the champion loaded in `models` and calls `on_change` after it has loaded a new one.

    A champion that cannot be loaded is logged. Jobs of other versions continue.
    """

    def __init__(self, registry: Registry, models: ModelCache, on_change: Callable[[], object]) -> None:
        self._registry, self._models, self._on_change = registry, models, on_change
        self._last_error = ""
        self._unusable, self._retry_at = "", 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="champion", daemon=True)

    def start(self) -> None:
        """Poll once, then start the thread."""
        self.poll()
        self._thread.start()

    def stop(self) -> None:
        """Tell the thread to stop, without waiting for a model that is being loaded."""
        self._stopping.set()

    def poll(self) -> None:
        """Load the champion if it is not loaded. Raise nothing; log an error once, not at every poll."""
        try:
            version = self._registry.alias().version
            if version != self._models.champion and not self._is_backing_off(version):
                self._load(version)
        except Exception as error:
            if str(error) != self._last_error:
                unexpected = None if isinstance(error, DarkroomError) else error
                log.error("cannot load the champion, running jobs continue: %s", with_cause(error), exc_info=unexpected)
            self._last_error = str(error)

    def _is_backing_off(self, version: str) -> bool:
        """Return whether loading this version failed within the last RETRY_S seconds."""
        return version == self._unusable and time.monotonic() < self._retry_at

    def _load(self, version: str) -> None:
        try:
            self._models.preload(version)
        except Unavailable:
            raise
        except Exception:
            self._unusable, self._retry_at = version, time.monotonic() + RETRY_S
            raise
        self._last_error = ""
        log.info("the champion is %s", version)
        self._on_change()

    def _run(self) -> None:
        while not self._stopping.wait(POLL_S):
            self.poll()
