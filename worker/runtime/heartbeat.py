"""A worker process's signs of life, from a thread: that it is there, and that it still works on its chunk."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shared.domain.errors import Unavailable
from shared.jobs.chunks import HEARTBEAT_S, ChunkStore
from shared.jobs.workers import Worker, Workers

log = logging.getLogger(__name__)


class Heartbeat:
    """Beats until it is stopped. `describe` says what this worker is; `check` is called with each beat."""

    def __init__(
        self,
        workers: Workers,
        chunks: ChunkStore,
        describe: Callable[[], Worker],
        check: Callable[[], object] = lambda: None,
    ) -> None:
        self._workers, self._chunks, self._describe, self._check = workers, chunks, describe, check
        self._chunk: str | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin; the first beat comes at once."""
        self._thread.start()

    def stop(self) -> None:
        """End, and say that this worker is gone."""
        self._stopping.set()
        self._thread.join()
        try:
            self._workers.remove(self._describe().name)
        except Unavailable:
            log.info("this worker's end could not be told; it will be missed")

    @contextmanager
    def renewing(self, chunk_id: str) -> Iterator[None]:
        """Renew the chunk's lease while the block runs."""
        self._chunk = chunk_id
        try:
            yield
        finally:
            self._chunk = None

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._beat()
            except Unavailable:
                log.warning("Redis cannot be reached; this worker goes on trying")
            self._stopping.wait(HEARTBEAT_S)

    def _beat(self) -> None:
        self._workers.record_heartbeat(self._describe())
        chunk = self._chunk
        if chunk is not None and not self._chunks.renew(chunk):
            log.warning("chunk %s is no longer ours: its result will not count", chunk)
        self._check()
