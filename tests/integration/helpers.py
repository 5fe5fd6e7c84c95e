"""Helpers for tests of the running service: requests, problems, archives, and what a job leaves behind."""

from __future__ import annotations

import io
import os
import socket
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import quote

import httpx
import numpy as np
import redis
from PIL import Image

from tests.conftest import START_STOP_S, Service, wait_until
from tests.fixtures import make

JSON = {"Content-Type": "application/json"}
PROBLEM_FIELDS = {"type", "title", "status", "detail", "instance"}


@cache
def png(seed: int = 0) -> bytes:
    """Return a small valid picture; each seed has other bytes.

    The shipped model is confident about it. For noise it would use six views, which is six times the work.
    """
    picture = np.array(Image.open(make.CIFAR10 / "cat-0.png"))
    picture[0, 0] = seed % 256, seed // 256, 0
    return make.encode(picture, "PNG")


def files(*contents: tuple[str, bytes]) -> list[tuple[str, tuple[str, bytes]]]:
    """Return multipart parts named `files`."""
    return [("files", (name, content)) for name, content in contents]


def submit(http: httpx.Client, *contents: tuple[str, bytes], **kwargs) -> str:
    """Post files in one multipart request; assert that it is accepted and return the job's id."""
    answer = http.post("/v1/jobs", files=files(*contents), **kwargs)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def open_job(http: httpx.Client, **body) -> str:
    answer = http.post("/v1/jobs", json={"kind": "classification", **body})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def put(http: httpx.Client, job_id: str, key: str, content: bytes) -> httpx.Response:
    return http.put(f"/v1/jobs/{job_id}/items/{key}", content=content, headers={"Content-Type": "image/png"})


def finished(http: httpx.Client, job_id: str) -> dict:
    """Wait for the job's end and return it; assert that its counts are complete."""

    def over():
        job = http.get(f"/v1/jobs/{job_id}", params={"wait": 5}).json()
        return job if job["done"] else None

    job = wait_until(over, f"job {job_id} is over", START_STOP_S)
    counts = job["counts"]
    assert counts["succeeded"] + counts["failed"] + counts["cancelled"] == counts["total"]
    return job


def results(http: httpx.Client, job_id: str, **query) -> list[dict]:
    """Return all finished items, read page by page."""
    items, after = [], None
    while True:
        page = http.get(f"/v1/jobs/{job_id}/results", params={**query, **({"after": after} if after else {})}).json()
        items += page["data"]
        after = page["next"]
        if page["done"]:
            return items


def outcomes(http: httpx.Client, *contents: tuple[str, bytes]) -> dict[str, str]:
    """Post files and wait; return `succeeded` or the error code of each item by its stored name."""
    job_id = submit(http, *contents)
    finished(http, job_id)
    return {item["filename"]: outcome(item) for item in results(http, job_id)}


def outcome(item: dict) -> str:
    if item["state"] != "failed":
        assert item["error"] is None
        return item["state"]
    assert item["error"]["code"] and item["error"]["detail"]
    assert set(item["error"]) == {"code", "detail"}
    return item["error"]["code"]


def problem(answer: httpx.Response, *statuses: int) -> dict:
    """Return the problem document of a response; assert that it has one of these statuses."""
    assert answer.status_code in statuses, f"{answer.status_code} {answer.text[:300]}"
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert set(body) >= PROBLEM_FIELDS and set(body) <= PROBLEM_FIELDS | {"errors", "code"}, body
    assert body["status"] == answer.status_code
    assert body["title"] and body["detail"] and isinstance(body["type"], str)
    assert body["instance"] == quote(httpx.URL(str(answer.url)).path)
    for fault in body.get("errors", []):
        assert set(fault) == {"pointer", "detail"} and all(isinstance(text, str) for text in fault.values())
    return body


def traces(service: Service) -> dict[str, set[str]]:
    """Return what jobs have left in this service: blobs, and job ids in Redis."""
    folder = service.data_dir / "blobs"
    with redis_of(service) as client:
        keys = {key.split(":")[2] for key in client.scan_iter("darkroom:job:*", count=1000)}
        listed = {name: set(client.zrange(f"darkroom:{name}", 0, -1)) for name in ("jobs", "removing", "expiring")}
    # os.walk, unlike Path.rglob, ignores folders that disappear meanwhile.
    paths = {Path(place, name) for place, _, names in os.walk(folder) for name in names}
    blobs = {name for path in paths if (name := str(path.relative_to(folder))).startswith("jobs/")}
    return {"keys": keys, "blobs": blobs, **listed}


@contextmanager
def nothing_left(service: Service) -> Iterator[None]:
    """Assert that the block leaves no job, blob or key behind."""
    before = traces(service)
    yield
    assert not (service.data_dir / "unpacked").exists()
    wait_until(lambda: not _new(before, service), f"nothing is left: {_new(before, service)}")


def _new(before: dict[str, set[str]], service: Service) -> dict[str, set[str]]:
    now = traces(service)
    return {name: fresh for name in now if (fresh := now[name] - before[name])}


def redis_of(service: Service) -> redis.Redis:
    """Return a client of the service's embedded Redis."""
    lines = (service.data_dir / "redis" / "redis.conf").read_text().splitlines()
    conf = dict(line.split(" ", 1) for line in lines if " " in line)
    return redis.Redis(port=int(conf["port"]), password=conf["requirepass"], decode_responses=True)


def connection(service: Service, timeout: float = 10) -> socket.socket:
    """Open a TCP connection to the web server."""
    host, port = service.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout)


def exchange(service: Service, request: bytes) -> httpx.Response:
    """Send bytes, shut down writing, and return the response."""
    with connection(service) as sock:
        sock.sendall(request)
        sock.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = [tuple(line.split(": ", 1)) for line in lines]
    url = service.url + request.split(b" ", 2)[1].decode()
    return httpx.Response(int(status.split()[1]), headers=headers, content=body, request=httpx.Request("POST", url))


def head(length: int | None, content_type: str, path: str = "/v1/jobs") -> bytes:
    """Return the head of a POST request, for a chunked body if `length` is None."""
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return (
        f"POST {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Type: {content_type}\r\n{size}\r\n\r\n"
    ).encode()


BOUNDARY = "-----darkroom-test"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"


def multipart(*parts: tuple[bytes, bytes], end: bool = True) -> bytes:
    """Return a multipart body of (parameters of Content-Disposition, content)."""
    mark = b"--" + BOUNDARY.encode()
    body = b"".join(
        mark + b"\r\nContent-Disposition: form-data; " + parameters + b"\r\n\r\n" + content + b"\r\n"
        for parameters, content in parts
    )
    return body + (mark + b"--\r\n" if end else b"")


def zip_of(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in entries:
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def zip_link(name: str) -> zipfile.ZipInfo:
    """Return a zip entry that is a symbolic link."""
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return info


def encrypted(archive: bytes) -> bytes:
    """Return the zip with its first entry marked as encrypted."""
    marked = bytearray(archive)
    marked[archive.index(b"PK\x03\x04") + 6] |= 1
    marked[archive.index(b"PK\x01\x02") + 8] |= 1
    return bytes(marked)


def tar_of(*entries: tuple[str, bytes], kind: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as archive:
        for name, content in entries:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def tar_entry(name: bytes, size: int, kind: bytes = b"0", content: bytes = b"") -> bytes:
    """Return a tar entry, padded to whole blocks; its header may lie about the size."""
    octal = (
        b"%011o\0" % size
        if 0 <= size < 8**11
        else struct.pack(">i", -1 if size < 0 else -(2**31)) + (size % 2**64).to_bytes(8, "big")
    )
    fields = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + octal + b"00000000000\0"
    rest = kind + bytes(100) + b"ustar\x0000" + bytes(247)
    checksum = b"%06o\0 " % sum(fields + b" " * 8 + rest)
    return fields + checksum + rest + content + bytes(-len(content) % 512)


TAR_END = bytes(1024)


def cifar10() -> list[tuple[str, bytes]]:
    """Return the 40 real pictures: (file name that begins with the label, content)."""
    return [(path.name, path.read_bytes()) for path in sorted(Path(make.CIFAR10).glob("*.png"))]
