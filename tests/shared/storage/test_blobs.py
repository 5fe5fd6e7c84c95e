"""The contract of the blob store, on a local folder and on S3."""

from __future__ import annotations

import io
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from obstore.store import S3Store

from cli.stack.embedded_redis import free_port
from shared.domain.entities import blob_key, job_folder, new_id
from shared.domain.errors import ConfigError, Conflict, NotFound, Unavailable
from shared.storage.blobs import STREAM_BYTES, BlobStore, web_patience
from tests.s3_kit import ACCESS, BUCKET, running_s3

MIB = 1024 * 1024
#: obstore uploads files from 5 MiB in parts.
SEVERAL_PARTS = 12 * MIB


@pytest.fixture(scope="module")
def s3_address() -> Iterator[str]:
    """Run an S3 service with an empty bucket, and yield its URL."""
    with running_s3() as address:
        yield address


@pytest.fixture
def s3_environment(s3_address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Set the environment variables for the S3 service."""
    for name, value in (ACCESS | {"AWS_ENDPOINT_URL": s3_address, "AWS_ALLOW_HTTP": "true"}).items():
        monkeypatch.setenv(name, value)
    return s3_address


@pytest.fixture(params=["local", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    """Return an empty store of each kind."""
    if request.param == "local":
        return BlobStore.open(None, tmp_path)
    request.getfixturevalue("s3_environment")
    return BlobStore.open(f"s3://{BUCKET}/{new_id()}", tmp_path)


@pytest.mark.parametrize("count", [0, 1, 100])
def test_many_blobs_are_stored_at_once(blobs: BlobStore, count: int) -> None:
    contents = {f"jobs/1/{number}": str(number).encode() for number in range(count)}
    blobs.put_all(contents)
    assert {key: blobs.get(key) for key in blobs.keys("jobs")} == contents


def test_the_first_of_many_errors_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ACCESS | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}", "AWS_ALLOW_HTTP": "1"}
    ).items():
        monkeypatch.setenv(name, value)
    blobs = BlobStore.open(f"s3://{BUCKET}/x", tmp_path, web_patience(4))
    with pytest.raises(Unavailable, match="it cannot be reached"):
        blobs.put_all({str(number): b"x" for number in range(100)})


def test_a_blob_can_be_read_back(blobs: BlobStore) -> None:
    content = bytes(range(256)) * 50
    blobs.put("jobs/1/a", content)
    assert blobs.get("jobs/1/a") == content
    assert blobs.exists("jobs/1/a")


def test_a_missing_blob_is_not_found(blobs: BlobStore) -> None:
    blobs.put("jobs/1/a", b"x")
    for key in ("jobs/1/b", "jobs/2/a", "jobs/1/a/b", "k"):
        with pytest.raises(NotFound, match=key):
            blobs.get(key)
        assert not blobs.exists(key)


def test_a_part_of_a_blob_is_read_and_copied_as_a_blob(blobs: BlobStore) -> None:
    blobs.put("jobs/1/pack-a", b"first" + b"second" + b"third")
    assert blobs.get("jobs/1/pack-a#0+5") == b"first"
    assert blobs.get("jobs/1/pack-a#5+6") == b"second"
    assert blobs.get("jobs/1/pack-a#11+5") == b"third"
    blobs.copy("jobs/1/pack-a#5+6", "jobs/2/b")
    blobs.delete_all("jobs/1")
    assert blobs.get("jobs/2/b") == b"second"
    for call in (blobs.get, lambda key: blobs.copy(key, "jobs/2/c")):
        with pytest.raises(NotFound, match="jobs/1/pack-a"):
            call("jobs/1/pack-a#5+6")
    assert blobs.keys("jobs") == ["jobs/2/b"]


@pytest.mark.parametrize("part", ["4+6", "11+1", "20+3"])
def test_a_part_of_what_is_cut_off_is_unavailable(blobs: BlobStore, part: str) -> None:
    blobs.put("jobs/1/pack-a", b"cut off")
    with pytest.raises(Unavailable, match="jobs/1/pack-a"):
        blobs.get(f"jobs/1/pack-a#{part}")


def test_create_does_not_overwrite(blobs: BlobStore) -> None:
    blobs.create("models/1/card", b"first")
    with pytest.raises(Conflict, match="models/1/card"):
        blobs.create("models/1/card", b"second")
    assert blobs.get("models/1/card") == b"first"


def test_a_blob_can_be_streamed(blobs: BlobStore) -> None:
    content = os.urandom(3 * STREAM_BYTES + 1)
    blobs.put("models/1/a", content)
    pieces = list(blobs.stream("models/1/a"))
    assert len(pieces) > 1
    assert b"".join(pieces) == content
    with pytest.raises(NotFound, match="models/1/b"):
        list(blobs.stream("models/1/b"))


def test_a_part_of_a_blob_can_be_read(blobs: BlobStore) -> None:
    blobs.put("datasets/1/a", b"0123456789")
    assert blobs.get_range("datasets/1/a", 3, 4) == b"3456"
    with pytest.raises(NotFound):
        blobs.get_range("datasets/1/b", 3, 4)


def test_a_copy_outlives_its_original(blobs: BlobStore) -> None:
    blobs.put("jobs/1/a", b"first")
    blobs.put("jobs/2/a", b"other")
    blobs.copy("jobs/1/a", "jobs/2/a")
    blobs.put("jobs/1/a", b"second")
    assert blobs.get("jobs/2/a") == b"first"
    blobs.delete(["jobs/1/a", "jobs/1/missing"])
    assert not blobs.exists("jobs/1/a")
    assert blobs.get("jobs/2/a") == b"first"
    with pytest.raises(NotFound):
        blobs.copy("jobs/1/a", "jobs/3/a")


def test_keys_and_folders_are_listed(blobs: BlobStore) -> None:
    assert blobs.keys("models") == []
    for key in ("models/1/a", "models/2/a", "models2/1/a"):
        blobs.put(key, b"")
    assert sorted(blobs.keys("models")) == ["models/1/a", "models/2/a"]
    assert blobs.folders("models") == pytest.approx({"1": time.time(), "2": time.time()}, abs=60)
    assert blobs.folders("nothing") == {}


def test_a_folder_is_not_a_blob(blobs: BlobStore) -> None:
    blobs.put("jobs/1/a", b"x")
    assert not blobs.exists("jobs/1")
    with pytest.raises((NotFound, Unavailable)):
        blobs.get("jobs/1")


def test_a_second_put_replaces_the_first(blobs: BlobStore) -> None:
    blobs.put("k", b"long first content")
    blobs.put("k", b"second")
    assert blobs.get("k") == b"second"
    blobs.put("k", b"")
    assert blobs.get("k") == b""


@pytest.mark.parametrize("size", [0, 1, SEVERAL_PARTS])
def test_a_file_is_stored_whole(blobs: BlobStore, tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "picture").write_bytes(content)
    with (tmp_path / "picture").open("rb") as file:
        blobs.put("from-disk", file)
    (tmp_path / "picture").write_bytes(b"other")  # the blob is a copy
    blobs.put("from-memory", io.BytesIO(content))
    for unnamed in (tempfile.TemporaryFile, _linkable):
        with unnamed(dir=tmp_path) as file:
            file.write(content)
            file.seek(0)
            blobs.put("unnamed", file)
        assert blobs.get("unnamed") == content
        blobs.put("unnamed", b"other")
    assert blobs.get("from-disk") == content
    assert blobs.get("from-memory") == content


def _linkable(dir: Path) -> IO[bytes]:  # noqa: A002  # as of `tempfile`
    """Return a file without a name that can get one."""
    return os.fdopen(os.open(dir, os.O_TMPFILE | os.O_RDWR, 0o666), "w+b")


def test_concurrent_deletes_of_the_same_blobs_succeed(blobs: BlobStore) -> None:
    for turn in range(10):
        for number in range(20):
            blobs.put(f"jobs/{turn}/{number}", b"x")
        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(blobs.delete_all, f"jobs/{turn}") for _ in range(4)]:
                done.result()
        assert blobs.keys(f"jobs/{turn}") == []


def test_delete_all_deletes_the_blobs_of_one_job_only(blobs: BlobStore) -> None:
    jobs = [new_id() for _ in range(3)]
    prefix_of_another = [jobs[0] + "0", jobs[0][:-1]]
    for job in [*jobs, *prefix_of_another]:
        for digest in ("a" * 64, "b" * 64):
            blobs.put(blob_key(job, digest), job.encode())
    assert blobs.delete_all(job_folder(jobs[0])) == 2
    assert blobs.delete_all(job_folder(jobs[0])) == 0
    assert not blobs.exists(blob_key(jobs[0], "a" * 64))
    for job in [*jobs[1:], *prefix_of_another]:
        assert blobs.get(blob_key(job, "b" * 64)) == job.encode()


def test_delete_all_deletes_more_blobs_than_one_request_can(blobs: BlobStore) -> None:
    for number in range(1005):
        blobs.put(f"jobs/x/{number}", b"")
    assert blobs.delete_all("jobs/x") == 1005
    assert not blobs.exists("jobs/x/1004")


def test_a_job_without_blobs_is_not_an_error(blobs: BlobStore) -> None:
    assert blobs.delete_all(job_folder(new_id())) == 0


def test_a_reader_never_sees_a_partial_blob(blobs: BlobStore) -> None:
    """Each write has one repeated byte, so a partial or mixed blob would be noticed."""
    size, versions, seen, stop = 24 * MIB, 4, set(), threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                content = blobs.get("big")
            except NotFound:
                seen.add("none")
            else:
                seen.add(content[:1] if content == content[:1] * size else f"{len(content)} bytes, torn")

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(versions):
        blobs.put("big", io.BytesIO(bytes([number]) * size))
    stop.set()
    reader.join()
    assert seen <= {"none", *(bytes([number]) for number in range(versions))}
    assert len(seen) > 1


@given(st.binary(max_size=3000), st.from_regex(r"[A-Za-z0-9._-]{1,128}", fullmatch=True).filter(lambda k: k.strip(".")))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_come_back_under_any_key(blobs: BlobStore, content: bytes, key: str) -> None:
    blobs.put(f"any/{key}", content)
    assert blobs.get(f"any/{key}") == content
    assert blobs.delete_all("any") == 1


def test_a_working_store_is_writable(blobs: BlobStore) -> None:
    blobs.check_writable()
    blobs.check_free_space(1)


def test_a_working_store_is_readable(blobs: BlobStore) -> None:
    for _ in range(2):
        blobs.check_readable("jobs/1")  # also if it is empty
        blobs.put("jobs/1/a", b"x")


def test_a_store_can_be_passed_in(s3_address: str) -> None:
    names = {name.removeprefix("AWS_").lower(): value for name, value in ACCESS.items()}
    blobs = BlobStore(S3Store(BUCKET, endpoint=s3_address, client_options={"allow_http": True}, **names))
    blobs.put("given", b"x")
    assert blobs.get("given") == b"x"
    assert blobs.temporary_folder is None
    assert blobs.is_remote


@pytest.mark.usefixtures("s3_environment")
def test_a_missing_bucket_is_unavailable(tmp_path: Path) -> None:
    blobs = BlobStore.open("s3://missing-bucket", tmp_path)
    for call in (
        lambda: blobs.put("k", b""),
        lambda: blobs.get("k"),
        blobs.check_writable,
        lambda: blobs.check_readable("k"),
        lambda: blobs.delete_all("k"),
    ):
        with pytest.raises(Unavailable):
            call()


def test_an_unreachable_store_is_unavailable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    address = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}", "AWS_ALLOW_HTTP": "true"}
    for name, value in (ACCESS | address).items():
        monkeypatch.setenv(name, value)
    blobs = BlobStore.open("s3://bucket", tmp_path)
    calls = (lambda: blobs.put("k", b""), lambda: blobs.get("k"), lambda: blobs.exists("k"))
    with ThreadPoolExecutor(len(calls)) as pool:  # each call retries for some seconds
        for done in [pool.submit(call) for call in calls]:
            with pytest.raises(Unavailable):
                done.result()


@pytest.mark.parametrize("address", ["nonsense", "ftp://host/x", "s3://"])
def test_an_invalid_storage_url_is_a_config_error(address: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        BlobStore.open(address, tmp_path)
    assert str(caught.value).startswith("DARKROOM_STORAGE_URL=")
    assert len(str(caught.value).splitlines()) == 1
