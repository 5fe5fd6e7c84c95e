"""Notices of jobs that end, for threads that wait for one: a single subscription in Redis for all of them."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

from shared.redis import keys
from shared.redis.connection import Client

log = logging.getLogger(__name__)

#: Seconds between two looks whether anybody waits, and after which the subscription ends if nobody has.
LOOK_S, KEEP_S = 1.0, 30.0


class EndedJobs:
    """The ends of jobs, as Redis publishes them. A notice may get lost, so a waiting thread must also poll."""

    def __init__(self, client: Client) -> None:
        """Nothing connects before somebody waits."""
        self._redis = client
        self._lock = threading.Lock()
        self._waiting: defaultdict[str, set[threading.Event]] = defaultdict(set)
        self._last_used = 0.0
        self._thread: threading.Thread | None = None
        #: Whether notices arrive.
        self.is_listening = False

    @contextmanager
    def noticing(self, job_id: str) -> Iterator[threading.Event]:
        """Provide an event that is set if the job ends while the block runs and notices arrive."""
        ended = threading.Event()
        with self._lock:
            self._waiting[job_id].add(ended)
            self._last_used = time.monotonic()
            if self._thread is None:
                self._thread = threading.Thread(target=self._listen, name="ended", daemon=True)
                self._thread.start()
        try:
            yield ended
        finally:
            with self._lock:
                self._waiting[job_id].discard(ended)
                if not self._waiting[job_id]:
                    del self._waiting[job_id]

    def _listen(self) -> None:
        """Set events until no thread waits or Redis fails. The next waiting thread starts another subscription."""
        try:
            with closing(self._redis.pubsub()) as subscription:
                subscription.subscribe(keys.ENDED)
                while self._is_used():
                    if message := subscription.get_message(timeout=LOOK_S):
                        self._take(message)
        except Exception as error:  # noqa: BLE001  # redis-py may raise anything if its pool is closed
            log.info("no notices of ended jobs for now: %s", error)
        finally:
            with self._lock:
                self._end()

    def _is_used(self) -> bool:
        with self._lock:
            if not self._waiting and time.monotonic() - self._last_used > KEEP_S:
                self._end()
            return self._thread is threading.current_thread()

    def _end(self) -> None:
        if self._thread is threading.current_thread():
            self._thread, self.is_listening = None, False

    def _take(self, message: Mapping[str, str]) -> None:
        if message["type"] == "subscribe":
            self.is_listening = True
        elif message["type"] == "message":
            with self._lock:
                for ended in self._waiting.get(message["data"], ()):
                    ended.set()
