"""An S3 that slows down, loses connections and is asked no more often than necessary: a real one behind a front."""

from __future__ import annotations

import hashlib
import http.client
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from shared.domain.entities import job_folder, new_id
from shared.domain.errors import Conflict, NotFound, Unavailable
from shared.settings import Settings
from shared.storage.blobs import STREAM_BYTES, BlobStore, Patience
from tests.integration.helpers import png, zip_of
from tests.s3_kit import ACCESS, BUCKET, running_s3
from web.uploads.intake import Intake
from web.uploads.pack import PACKED_BYTES
from web.uploads.submission import ADD_ITEMS
from worker.data.load_upload import UploadsOfChunk

PATIENCE = Patience(stall_s=10, retry_s=10)
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


class Front(ThreadingHTTPServer):
    """Forwards requests to `target`, a host and port. `seen` has the method of each and the headers of the last one."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.target = target
        #: How many of the next requests are refused, are lost with their response, or get half of it.
        self.refused, self.lost, self.halved = 0, 0, 0
        self.seen: list[str] = []
        self.bodies: list[tuple[dict[str, str], bytes]] = []

    def take(self, fault: str) -> bool:
        """Return whether the next request has this fault, once."""
        left = int(getattr(self, fault))
        setattr(self, fault, max(0, left - 1))
        return left > 0


class Handler(BaseHTTPRequestHandler):
    """Serve one connection."""

    server: Front
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        """Forward the request, or do the fault whose turn it is."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append(self.command)
        self.server.bodies.append(({name.lower(): value for name, value in self.headers.items()}, body))
        if self.server.take("refused"):
            self.reply(503, {"Content-Type": "application/xml"}, SLOW_DOWN)
            return
        connection = http.client.HTTPConnection(self.server.target)
        connection.request(self.command, self.path, body, dict(self.headers))
        found = connection.getresponse()
        content = found.read()
        connection.close()
        if self.server.take("lost"):
            self.close_connection = True
            return
        self.reply(found.status, dict(found.headers), content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer  # noqa: N815  # names of http.server

    def reply(self, status: int, headers: dict[str, str], content: bytes) -> None:
        """Send a response, or half of its body."""
        self.send_response_only(status)
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(content))
        for name, value in (headers | {"Content-Length": length}).items():
            if name.lower() not in ("transfer-encoding", "connection"):
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD" and content and self.server.take("halved"):
            content, self.close_connection = content[: len(content) // 2], True
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with running_s3() as address:
        yield address.removeprefix("http://")


@contextmanager
def served(front: Front) -> Iterator[None]:
    thread = threading.Thread(target=front.serve_forever)
    thread.start()
    try:
        yield
    finally:
        front.shutdown()
        front.server_close()
        thread.join()


@pytest.fixture
def front(moto: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    """Run a front, and set the environment of its clients."""
    front = Front(moto)
    address = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{front.server_port}", "AWS_ALLOW_HTTP": "true"}
    for name, value in (ACCESS | address).items():
        monkeypatch.setenv(name, value)
    with served(front):
        yield front


@pytest.fixture
def blobs(front: Front, tmp_path: Path) -> BlobStore:
    """Return an empty store with one blob, whose requests are not counted."""
    blobs = BlobStore.open(f"s3://{BUCKET}/{new_id()}", tmp_path, PATIENCE)
    blobs.put("jobs/1/a", b"a picture")
    front.seen.clear()
    return blobs


CALLS: dict[str, Callable[[BlobStore], object]] = {
    "GET": lambda blobs: blobs.get("jobs/1/a"),
    "PUT": lambda blobs: blobs.put("jobs/1/a", b"a picture"),
    "HEAD": lambda blobs: blobs.exists("jobs/1/a"),
    "POST": lambda blobs: blobs.delete(["jobs/1/a"]),
}


@pytest.mark.parametrize("method", CALLS)
def test_a_request_that_is_told_to_slow_down_is_repeated(method: str, front: Front, blobs: BlobStore) -> None:
    front.refused = 2
    CALLS[method](blobs)
    assert front.seen == [method] * 3


def test_a_store_that_goes_on_refusing_is_unavailable(front: Front, blobs: BlobStore) -> None:
    front.refused = 3
    with pytest.raises(Unavailable, match="it answers with an error"):
        blobs.get("jobs/1/a")
    assert blobs.get("jobs/1/a") == b"a picture"


@pytest.mark.parametrize("method", CALLS)
def test_a_request_whose_answer_is_lost_is_repeated(method: str, front: Front, blobs: BlobStore) -> None:
    front.lost = 1
    CALLS[method](blobs)
    assert front.seen == [method] * 2


def test_a_picture_that_arrives_by_half_is_asked_for_again(front: Front, blobs: BlobStore) -> None:
    front.halved = 1
    assert blobs.get("jobs/1/a") == b"a picture"


def test_a_download_whose_connection_is_lost_goes_on(front: Front, blobs: BlobStore) -> None:
    content = bytes(range(256)) * (2 * STREAM_BYTES // 256)
    blobs.put("models/1/a", content)
    front.halved = 1
    assert b"".join(blobs.stream("models/1/a")) == content


def test_every_upload_has_its_checksum(front: Front, blobs: BlobStore) -> None:
    """Given the SHA-256 that the signature covers, Then S3 refuses bytes that changed on the way."""
    front.bodies.clear()
    blobs.put("jobs/1/b", b"another")
    ((headers, body),) = front.bodies
    assert headers["x-amz-content-sha256"] == hashlib.sha256(body).hexdigest()


@pytest.mark.usefixtures("front")
def test_services_with_a_prefix_each_do_not_meet(tmp_path: Path) -> None:
    """Given one prefix that begins with the other one, Then each service sees and deletes its own files."""
    name = new_id()
    one, other = (BlobStore.open(f"s3://{BUCKET}/{prefix}", tmp_path, PATIENCE) for prefix in (name, f"{name}2"))
    one.put("jobs/1/a", b"1")
    other.put("jobs/1/a", b"2")
    assert (one.get("jobs/1/a"), one.keys("jobs")) == (b"1", ["jobs/1/a"])
    assert one.delete_all("jobs") == 1
    assert (one.keys("jobs"), other.get("jobs/1/a")) == ([], b"2")


def test_each_request_is_counted_by_kind_and_result(front: Front, tmp_path: Path) -> None:
    """Given a request that is repeated, or a listing of nothing, Then it counts once."""
    counted: Counter[tuple[str, str]] = Counter()
    blobs = BlobStore.open(f"s3://{BUCKET}/{new_id()}", tmp_path, PATIENCE, lambda *one: counted.update([one]))
    blobs.put_all({"jobs/1/a": b"1", "jobs/1/b": b"2"})
    blobs.create("id", b"3")
    blobs.copy("jobs/1/a", "jobs/1/c")
    assert b"".join([blobs.get("jobs/1/a"), *blobs.stream("jobs/1/b"), blobs.get_range("id", 0, 1)]) == b"123"
    assert blobs.exists("id") and not blobs.exists("jobs/1/d")
    assert len(blobs.keys("jobs")) == 3 and blobs.keys("x") == []
    assert blobs.delete_all("jobs/1") == 3
    with pytest.raises(Conflict):
        blobs.create("id", b"4")
    with pytest.raises(NotFound):
        blobs.get("jobs/1/a")
    made = len(front.seen)
    front.refused = 3
    with pytest.raises(Unavailable):
        blobs.get("id")
    assert counted == {
        ("put", "succeeded"): 3, ("put", "exists"): 1, ("copy", "succeeded"): 1,
        ("get", "succeeded"): 3, ("get", "missing"): 1, ("get", "failed"): 1,
        ("head", "succeeded"): 1, ("head", "missing"): 1,
        ("list", "succeeded"): 3, ("delete", "succeeded"): 1,
    }  # fmt: skip
    assert counted.total() == made + 1


def test_no_request_is_made_twice(front: Front, blobs: BlobStore) -> None:
    """Given 30 big pictures in a zip, Then storing and reading each takes one request, and deleting all of them two.

    Given 300 small ones, Then storing all takes two requests, and so does reading them.
    """
    contents = [png(number) + bytes(PACKED_BYTES) for number in range(30)]
    assert requests(front, blobs, contents) == (["PUT"] * 30, ["GET"] * 30, ["GET", "POST"])
    contents = [png(number) for number in range(ADD_ITEMS + 44)]
    assert requests(front, blobs, contents) == (["PUT"] * 2, ["GET"] * 2, ["GET", "POST"])


def requests(front: Front, blobs: BlobStore, contents: list[bytes]) -> tuple[list[str], ...]:
    """Return the requests for storing pictures from a zip, for reading them as one chunk, and for deleting them."""
    job_id, content = new_id(), zip_of(*((f"{number}.png", each) for number, each in enumerate(contents)))
    intake = Intake(blobs, Settings(), job_id)
    front.seen.clear()
    uploads = intake.stored(list(intake.take("a.zip", [content])))
    into = front.seen[:]
    front.seen.clear()
    stored = UploadsOfChunk(blobs, job_id, uploads)
    for upload, wanted in zip(uploads, contents, strict=True):
        assert stored.load(upload) == wanted
    out = front.seen[:]
    front.seen.clear()
    blobs.delete_all(job_folder(job_id))
    assert blobs.keys(job_folder(job_id)) == []
    return into, out, front.seen[:-1]
