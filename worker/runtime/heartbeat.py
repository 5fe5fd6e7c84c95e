"""The heartbeat thread of a worker process. It also renews the leases of the chunks that it works on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from shared.domain.errors import DarkroomError
from shared.jobs.chunks import HEARTBEAT_S, ChunkStore
from shared.jobs.workers import Worker, Workers
from shared.logs import with_cause
from worker.runtime.steps import Step

log = logging.getLogger(__name__)


class Heartbeat:
    """A thread that sends a heartbeat every HEARTBEAT_S seconds.

    `describe` returns the worker as it is now; `on_heartbeat` is called after each heartbeat.
    """

    def __init__(
        self,
        workers: Workers,
        chunks: ChunkStore,
        describe: Callable[[], Worker],
        on_heartbeat: Callable[[], object] = lambda: None,
    ) -> None:
        self._workers, self._chunks, self._describe = workers, chunks, describe
        #: Each step runs whether or not another fails; a lease is short, so its renewal comes first.
        self._steps = (
            Step("the renewal of the leases", self._renew, log),
            Step("the heartbeat", self._record, log),
            Step("the check of the broker", on_heartbeat, log),
        )
        self._leased: Collection[str] = ()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Start the thread, which sends the first heartbeat at once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and remove the worker from the list of live workers."""
        self._stopping.set()
        self._thread.join()
        try:
            self._workers.remove(self._describe().name)
        except DarkroomError as error:
            log.info("this worker stays listed until its heartbeat times out: %s", with_cause(error))

    @contextmanager
    def renewing(self, lease_ids: Collection[str]) -> Iterator[None]:
        """Renew the leases of chunks or a training with each heartbeat while the block runs.

        Those that leave the collection meanwhile are not renewed any more.
        """
        self._leased = lease_ids
        try:
            yield
        finally:
            self._leased = ()

    def _run(self) -> None:
        while not self._stopping.is_set():
            for step in self._steps:
                step()
            self._stopping.wait(HEARTBEAT_S)

    def _renew(self) -> None:
        for leased in tuple(self._leased):
            if not self._chunks.renew(leased) and leased in self._leased:
                log.warning("the lease of chunk %s is lost: its result will be discarded", leased)

    def _record(self) -> None:
        self._workers.record_heartbeat(self._describe())
