"""Watch who the champion is, from a thread, and load a new one beside the running work."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from shared.domain.errors import DarkroomError
from shared.models.registry import Registry
from worker.serving.models import ModelCache, ModelUnusable

log = logging.getLogger(__name__)

#: Seconds between two looks: a promotion takes effect within 2, most of which is for loading.
POLL_S = 0.5
#: Seconds after which a champion that could not be loaded is tried again; each try costs about one of work.
RETRY_S = 10.0


class ChampionWatcher:
    """Sees to it that `models` holds the champion; `changed` is called where it holds another one.

    A champion that cannot be loaded stops nobody: it is said in the log, and the versions of running jobs go on.
    """

    def __init__(self, registry: Registry, models: ModelCache, changed: Callable[[], object]) -> None:
        self._registry, self._models, self._changed = registry, models, changed
        self._trouble = ""
        self._unusable, self._retry_at = "", 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="champion", daemon=True)

    def start(self) -> None:
        """Load the champion if that can be done now, then go on watching."""
        self.poll()
        self._thread.start()

    def stop(self) -> None:
        """End; what is being loaded is not waited for."""
        self._stopping.set()

    def poll(self) -> None:
        """Load the champion where another one is held. What is in the way is logged once, not at every look."""
        try:
            version = self._registry.alias().version
            if version != self._models.champion and not self._rests(version):
                self._take_over(version)
        except DarkroomError as error:
            if str(error) != self._trouble:
                log.error("the champion cannot be loaded, running jobs go on: %s", error)
            self._trouble = str(error)

    def _rests(self, version: str) -> bool:
        """Whether this version could not be loaded a moment ago."""
        return version == self._unusable and time.monotonic() < self._retry_at

    def _take_over(self, version: str) -> None:
        try:
            self._models.preload(version)
        except ModelUnusable:
            self._unusable, self._retry_at = version, time.monotonic() + RETRY_S
            raise
        self._trouble = ""
        log.info("the champion is %s", version)
        self._changed()

    def _run(self) -> None:
        while not self._stopping.wait(POLL_S):
            try:
                self.poll()
            except Exception:
                log.exception("the champion cannot be watched; this worker goes on trying")
