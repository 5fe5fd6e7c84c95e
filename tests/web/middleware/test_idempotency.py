"""Idempotency keys: the digest of a body in chunks, and the lock on a key."""

from __future__ import annotations

import hashlib
import io
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.access.idempotency import RETENTION_S, IdempotencyStore, KeyLock, StoredResponse
from shared.domain.errors import Conflict
from tests.conftest import wait_until
from web.middleware.idempotency import HashedStream

ANSWER = StoredResponse("digest", 202, {"Location": "/v1/jobs/1"}, "{}")


def digest(body: bytes, boundary: str = "", piece: int = 65536) -> str:
    stream = HashedStream(io.BytesIO(body), boundary)
    read = b"".join(iter(lambda: stream.read(piece), b""))
    assert read == body
    return stream.hexdigest()


def test_digest_without_a_boundary_is_that_of_the_bytes():
    assert digest(b"some bytes", piece=3) == hashlib.sha256(b"some bytes").hexdigest()


@given(st.lists(st.binary(max_size=40), max_size=6), st.integers(1, 50))
def test_digest_does_not_depend_on_boundary_or_chunks(parts, piece):
    one, other = (
        digest(mark.encode() + b"\r\n".join(part + b"--" + mark.encode() for part in parts), mark, size)
        for mark, size in (("first-boundary-01", piece), ("the-other-one-02", 65536))
    )
    assert one == other


@pytest.fixture
def quick(monkeypatch) -> None:
    """Keys are held for a second at a time."""
    monkeypatch.setattr("shared.access.idempotency.LOCK_S", 1)


@pytest.mark.usefixtures("quick")
def test_key_is_locked_while_its_request_is_in_progress(each_redis):
    answers = IdempotencyStore(each_redis)
    lock = KeyLock(answers)
    assert lock.begin("mine") is None and answers.begin("of a process that died") is None
    wait_until(lambda: each_redis.dbsize() == 1, "the abandoned key has expired")
    with pytest.raises(Conflict):
        lock.begin("mine")
    lock.finish("mine", ANSWER)
    assert lock.begin("mine") == ANSWER
    assert lock.begin("of a process that died") is None
    lock.finish("of a process that died", None)
    assert each_redis.dbsize() == 1
    wait_until(lambda: "idempotency" not in {thread.name for thread in threading.enumerate()}, "no thread is left")


@pytest.mark.usefixtures("quick")
def test_late_renewal_does_not_shorten_the_lifetime_of_a_response(each_redis):
    answers = IdempotencyStore(each_redis)
    answers.begin("key")
    answers.save("key", ANSWER)
    answers.renew("key")
    (place,) = each_redis.keys()
    assert each_redis.ttl(place) > RETENTION_S - 60


@pytest.mark.parametrize("changed", [b"--mark\r\nB\r\n--mark--", b"--mark\r\nA\r\n--mark-- ", b"--mark\r\nA\r\n--mark"])
def test_different_body_has_a_different_digest(changed):
    assert digest(changed, "mark") != digest(b"--mark\r\nA\r\n--mark--", "mark")
