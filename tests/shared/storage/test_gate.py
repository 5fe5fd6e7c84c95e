"""A storage that hangs: calls fail in time, name no address, and only some threads wait."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.domain.errors import NotFound, Unavailable
from shared.storage.blobs import WORKER_PATIENCE, BlobStore, Patience, web_patience
from shared.storage.gate import WAIT_S, Gate

#: Seconds within which the API must respond, and after which the process of a chunk is killed.
IN_TIME_S, KILL_S = 5, 60
BUCKET = "secret-bucket"
QUICK = Patience(stall_s=0.3, retry_s=0.1, places=2)
ANSWERS = {
    b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n": "it answers with an error",
    b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n": "it refuses the credentials",
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 12\r\n\r\nNoSuchBucket": "bucket",
    b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nETag: x\r\n\r\nhalf": "in time",
    b"": "it does not answer in time",
}


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """Run a server that answers each request with the first element of the list; yield the list."""
    answers = [b""]
    server = socket.create_server(("127.0.0.1", 0))

    def serve(client: socket.socket) -> None:
        with client:
            while client.recv(65536):
                client.sendall(answers[0])

    def accept() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=[client], daemon=True).start()

    thread = threading.Thread(target=accept)
    thread.start()
    environment = {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret", "REGION": "us-east-1", "ALLOW_HTTP": "true"}
    environment["ENDPOINT_URL"] = f"http://127.0.0.1:{server.getsockname()[1]}"
    for name, value in environment.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    yield answers
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


@pytest.mark.parametrize("content", ANSWERS, ids=["503", "403", "bucket", "half", "hangs"])
def test_what_an_odd_answer_says(answer: list[bytes], content: bytes, tmp_path: Path) -> None:
    answer[0] = content
    blobs = BlobStore.open(f"s3://{BUCKET}/x", tmp_path, QUICK)
    with pytest.raises(Unavailable, match=ANSWERS[content]) as caught:
        blobs.get("jobs/1/a")
    assert BUCKET not in str(caught.value) and "127.0.0.1" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value.__cause__) or content.endswith(b"half"), "the log has the address"


def test_the_limits_fit_those_of_the_callers() -> None:
    """A request that begins to hang just before the last retry takes both limits."""
    web = web_patience(16)
    assert WAIT_S + web.stall_s + web.retry_s <= IN_TIME_S and web.places == 8
    assert 2 * (WORKER_PATIENCE.stall_s + WORKER_PATIENCE.retry_s) < KILL_S


def test_only_some_threads_wait_and_then_one_tries(answer: list[bytes], tmp_path: Path) -> None:
    """Given eight threads and two places, all get an error; once the storage has failed, at once but for one."""
    blobs = BlobStore.open(f"s3://{BUCKET}/x", tmp_path, QUICK)
    with ThreadPoolExecutor(8) as pool:
        errors = [pool.submit(blobs.get, "a").exception for _ in range(8)]
        texts = [str(error()) for error in errors]
    assert all("in time" in text or "too many requests" in text for text in texts), texts
    gate = blobs._gate
    assert gate is not None
    with gate.passed(), pytest.raises(Unavailable, match="in time"):  # the first one tries
        blobs.get("a")
    answer[0] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    with pytest.raises(NotFound):
        blobs.get("a")


CALLS: dict[str, Callable[[BlobStore], object]] = {
    "put": lambda blobs: blobs.put("b", b"x"),
    "create": lambda blobs: blobs.create("b", b"x"),
    "copy": lambda blobs: blobs.copy("a", "b"),
    "get": lambda blobs: blobs.get("a"),
    "get_range": lambda blobs: blobs.get_range("a", 0, 1),
    "stream": lambda blobs: list(blobs.stream("a")),
    "keys": lambda blobs: blobs.keys("a"),
    "folders": lambda blobs: blobs.folders("a"),
    "exists": lambda blobs: blobs.exists("a"),
    "delete": lambda blobs: blobs.delete(["a"]),
    "delete_all": lambda blobs: blobs.delete_all("a"),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_call_passes_the_gate(name: str, tmp_path: Path) -> None:
    blobs = BlobStore.open(None, tmp_path, Patience(stall_s=1, retry_s=1, places=1))
    blobs.put("a", b"x")
    gate = blobs._gate
    assert gate is not None
    with gate.passed(), pytest.raises(Unavailable, match="too many requests"):
        CALLS[name](blobs)
    CALLS[name](blobs)


def test_a_gate_opens_again() -> None:
    gate = Gate(1)
    for error in (Unavailable("it hangs"), NotFound("it works")):
        with pytest.raises(type(error)), gate.passed():
            raise error
    with gate.passed(), pytest.raises(Unavailable, match="too many requests"), gate.passed():
        pass
    with gate.passed():
        pass
