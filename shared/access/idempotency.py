"""Responses to requests with an `Idempotency-Key`, kept for a day so that a repeat gets the same response.

A request locks its key while it is being processed. The lock expires if the process dies, and a repeat is then
processed anew: a client without a response may safely repeat, unless the process died after it had accepted the job.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from dataclasses import asdict, dataclass

from shared.domain.errors import Conflict, Unavailable
from shared.redis import keys
from shared.redis.connection import Client, redis_errors

#: Seconds that a response is kept.
RETENTION_S = 24 * 3600
#: Seconds until a lock expires. Its process renews it three times in this period.
LOCK_S = 30
IN_FLIGHT = "in flight"


@dataclass(frozen=True)
class StoredResponse:
    """A response. `request` is the digest of the request that it answers."""

    request: str
    status: int
    headers: dict[str, str]
    body: str


class IdempotencyStore:
    """Responses by key, in Redis. Every method raises Unavailable if Redis cannot be reached."""

    def __init__(self, client: Client) -> None:
        self._redis = client

    @redis_errors()
    def begin(self, key: str) -> StoredResponse | None:
        """Return the stored response, or lock the key and return None for the first request.

        Raises Conflict while another request holds the lock.
        """
        if self._redis.set(_redis_key(key), IN_FLIGHT, nx=True, ex=LOCK_S):
            return None
        record = self._redis.get(_redis_key(key))
        if record in (None, IN_FLIGHT):
            raise Conflict("a request with this Idempotency-Key is still being processed: repeat it in a moment")
        return StoredResponse(**json.loads(record))

    @redis_errors()
    def renew(self, key: str) -> None:
        """Renew the lock of a key. Never shortens the time that a response is kept."""
        self._redis.expire(_redis_key(key), LOCK_S, gt=True)

    @redis_errors()
    def save(self, key: str, response: StoredResponse) -> None:
        """Store the response and unlock the key."""
        self._redis.set(_redis_key(key), json.dumps(asdict(response)), ex=RETENTION_S)

    @redis_errors()
    def release(self, key: str) -> None:
        """Unlock the key without a response, so that a repeat is processed."""
        self._redis.delete(_redis_key(key))


class KeyLock:
    """Locks the keys of this process's requests. A thread renews the locks while there are any."""

    def __init__(self, store: IdempotencyStore) -> None:
        self._store = store
        self._keys: set[str] = set()
        self._lock = threading.Lock()
        self._running = False

    def begin(self, key: str) -> StoredResponse | None:
        """Return the stored response, or lock the key and return None. Raises Conflict, Unavailable."""
        stored = self._store.begin(key)
        if stored is None:
            with self._lock:
                self._keys.add(key)
                if not self._running:
                    self._running = True
                    threading.Thread(target=self._run, name="idempotency", daemon=True).start()
        return stored

    def finish(self, key: str, response: StoredResponse | None) -> None:
        """Store the response and unlock the key; None only unlocks it. Raises Unavailable."""
        with self._lock:
            self._keys.discard(key)
        if response is None:
            self._store.release(key)
        else:
            self._store.save(key, response)

    def _run(self) -> None:
        while self._has_keys():
            time.sleep(LOCK_S / 3)
            for key in list(self._keys):
                with contextlib.suppress(Unavailable):
                    self._store.renew(key)

    def _has_keys(self) -> bool:
        with self._lock:
            self._running = bool(self._keys)
            return self._running


def _redis_key(key: str) -> str:
    return keys.idempotency(hashlib.sha256(key.encode()).hexdigest())
