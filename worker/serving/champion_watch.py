"""The thread that loads new champions while the worker continues with its jobs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from shared.domain.classifier import CIFAR10, Classifier
from shared.domain.errors import DarkroomError, Unavailable
from shared.logs import with_cause
from shared.models.registry import Registry
from worker.serving.models import ModelCache, memory_of

log = logging.getLogger(__name__)

#: Seconds between two polls: a promotion takes effect within 2 s, most of which is for loading.
POLL_S = 0.5
#: Seconds before a champion that could not be loaded is tried again; each attempt costs about one second of work.
RETRY_S = 10.0


class ChampionWatcher:
    """A watcher that keeps champions loaded in `models` and calls `on_change` after it has loaded a new one.

    It loads the champion of the default Classifier, then those of the Classifiers in use, the last one first, into half
    of the memory for models. A champion that cannot be loaded is logged. Jobs of other versions continue.
    """

    def __init__(self, registry: Registry, models: ModelCache, on_change: Callable[[], object]) -> None:
        self._registry, self._models, self._on_change = registry, models, on_change
        self._champions: dict[Classifier, str] = {}
        self._retry_at: dict[str, float] = {}
        self._last_error = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="champion", daemon=True)

    @property
    def champion(self) -> str | None:
        """Return the loaded champion of the default Classifier, or None."""
        return self._champions.get(CIFAR10)

    def start(self) -> None:
        """Poll once, then start the thread."""
        self.poll()
        self._thread.start()

    def stop(self) -> None:
        """Tell the thread to stop, without waiting for a model that is being loaded."""
        self._stopping.set()

    def poll(self) -> None:
        """Load champions that are not loaded. Raise nothing; log an error once, not at every poll."""
        try:
            self._load_new(self._wanted())
        except Exception as error:
            if str(error) != self._last_error:
                unexpected = None if isinstance(error, DarkroomError) else error
                log.error("cannot load the champion, running jobs continue: %s", with_cause(error), exc_info=unexpected)
            self._last_error = str(error)

    def _wanted(self) -> dict[Classifier, str]:
        """Return the champions to load."""
        wanted = {CIFAR10: self._registry.alias().version}
        memory = self._memory_of(wanted[CIFAR10])
        for classifier in self._registry.classifiers_in_use():
            alias = self._registry.find_alias(classifier)
            if alias and (memory := memory + self._memory_of(alias.version)) <= self._models.budget / 2:
                wanted[classifier] = alias.version
        return wanted

    def _memory_of(self, version: str) -> int:
        return memory_of(self._registry.card(version)) if self._registry.exists(version) else 0

    def _load_new(self, wanted: Mapping[Classifier, str]) -> None:
        self._champions = {known: version for known, version in self._champions.items() if known in wanted}
        for classifier, version in wanted.items():
            if version != self._champions.get(classifier) and not self._is_backing_off(version):
                self._models.keep({*self._champions.values(), version})
                self._load(classifier, version)
        self._models.keep(self._champions.values())

    def _is_backing_off(self, version: str) -> bool:
        """Return whether loading this version failed within the last RETRY_S seconds."""
        return time.monotonic() < self._retry_at.get(version, 0)

    def _load(self, classifier: Classifier, version: str) -> None:
        try:
            self._models.get(version)
        except Unavailable:
            raise
        except Exception:
            self._retry_at[version] = time.monotonic() + RETRY_S
            raise
        self._champions[classifier] = version
        self._last_error = ""
        log.info("the champion of %s is %s", classifier.name, version)
        self._on_change()

    def _run(self) -> None:
        while not self._stopping.wait(POLL_S):
            self.poll()
