"""What requests with an `Idempotency-Key` were answered, kept for a day so that a repeat gets the same answer.

A request holds its key while it is in work. The hold ends by itself where its process dies, so that a repeat is then
done anew: a client that gets no answer may repeat safely, unless the process died after the job was accepted.
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
from shared.redis.connection import Client, translated

#: Seconds for which an answer is kept.
KEPT_S = 24 * 3600
#: Seconds for which a request holds its key without a sign of life; its process gives three in that time.
HOLD_S = 30
IN_FLIGHT = "in flight"


@dataclass(frozen=True)
class Answer:
    """An answer, and the digest of the request that it was given to."""

    request: str
    status: int
    headers: dict[str, str]
    body: str


class Idempotency:
    """Answers by key. Every method raises Unavailable where Redis cannot be reached."""

    def __init__(self, client: Client) -> None:
        self._redis = client

    @translated
    def begin(self, key: str) -> Answer | None:
        """The answer that is to be given again; None for the first request, which now holds the key.

        Raises Conflict while another request holds it.
        """
        if self._redis.set(_place(key), IN_FLIGHT, nx=True, ex=HOLD_S):
            return None
        record = self._redis.get(_place(key))
        if record in (None, IN_FLIGHT):
            raise Conflict("a request with this Idempotency-Key is in work: ask again for its answer in a moment")
        return Answer(**json.loads(record))

    @translated
    def hold(self, key: str) -> None:
        """A sign of life of the request that holds the key."""
        self._redis.expire(_place(key), HOLD_S, gt=True)  # not the answer that has just come

    @translated
    def keep(self, key: str, answer: Answer) -> None:
        """Keep the answer of the request that holds the key."""
        self._redis.set(_place(key), json.dumps(asdict(answer)), ex=KEPT_S)

    @translated
    def release(self, key: str) -> None:
        """Forget the key: its request came to nothing, and a repeat may do better."""
        self._redis.delete(_place(key))


class KeyLock:
    """Holds the keys of this process's requests for as long as they are in work, from a thread while there are any."""

    def __init__(self, answers: Idempotency) -> None:
        self._answers = answers
        self._keys: set[str] = set()
        self._lock = threading.Lock()
        self._running = False

    def begin(self, key: str) -> Answer | None:
        """The answer that is to be given again, or None, and the key is held. Raises Conflict, Unavailable."""
        before = self._answers.begin(key)
        if before is None:
            with self._lock:
                self._keys.add(key)
                if not self._running:
                    self._running = True
                    threading.Thread(target=self._run, name="idempotency", daemon=True).start()
        return before

    def end(self, key: str, answer: Answer | None) -> None:
        """Keep the answer; where there is none, forget the key. Raises Unavailable."""
        with self._lock:
            self._keys.discard(key)
        if answer is None:
            self._answers.release(key)
        else:
            self._answers.keep(key, answer)

    def _run(self) -> None:
        while self._goes_on():
            time.sleep(HOLD_S / 3)
            for key in list(self._keys):
                with contextlib.suppress(Unavailable):
                    self._answers.hold(key)

    def _goes_on(self) -> bool:
        with self._lock:
            self._running = bool(self._keys)
            return self._running


def _place(key: str) -> str:
    return keys.idempotency(hashlib.sha256(key.encode()).hexdigest())
