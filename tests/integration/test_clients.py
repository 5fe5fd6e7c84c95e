"""Clients that disconnect, are slow or send unusual requests, on plain sockets; and a thousand odd files."""

from __future__ import annotations

import gzip
import time

import pytest

from tests.conftest import wait_until
from tests.fixtures import make, odd
from tests.integration.helpers import (
    MULTIPART,
    connection,
    exchange,
    files,
    finished,
    head,
    multipart,
    nothing_left,
    open_job,
    outcome,
    png,
    put,
    redis_of,
    results,
    tar_of,
    traces,
    zip_of,
)


@pytest.mark.parametrize("kind", [MULTIPART, "image/png", "application/zip"])
@pytest.mark.parametrize("chunked", [False, True])
def test_client_goes_away_in_the_middle(service, kind, chunked):
    """Given half a body, when the connection closes, then no record or blob remains."""
    parts = [(b'name="files"; filename="%d.png"' % n, png(n % 20)) for n in range(600)]
    body = {MULTIPART: multipart(*parts), "application/zip": zip_of(*((f"{n}.png", png(n)) for n in range(20)))}
    whole = body.get(kind, make.photo(0.5))
    half = whole[: len(whole) // 2]
    with nothing_left(service):
        before = traces(service)["keys"]
        sock = connection(service)
        if chunked:
            sock.sendall(head(None, kind) + b"%x\r\n%b" % (len(whole), half))
        else:
            sock.sendall(head(len(whole), kind) + half)
        began = wait_until(lambda: traces(service)["keys"] - before, "the job is begun")
        sock.close()
        (job_id,) = began
    with service.client() as http:
        assert http.get(f"/v1/jobs/{job_id}").status_code == 404


def test_job_of_a_request_on_its_way_is_not_listed(service, http):
    body = multipart(*((b'name="files"; filename="a.png"', png(n)) for n in range(20)))
    with nothing_left(service), connection(service) as sock:
        before = traces(service)["keys"]
        sock.sendall(head(len(body), MULTIPART) + body[:-9])
        (job_id,) = wait_until(lambda: traces(service)["keys"] - before, "the job is begun")
        assert job_id not in {job["id"] for job in http.get("/v1/jobs").json()["data"]}


def test_client_goes_away_while_it_waits(service):
    """An accepted job is processed even if its client does not read the response."""
    body = multipart(*((b'name="files"; filename="a.png"', png(n)) for n in range(20)))
    with redis_of(service) as client:
        before = set(client.zrange("darkroom:jobs", 0, -1))
        with connection(service) as sock:
            sock.sendall(head(len(body), MULTIPART).replace(b"Host", b"Prefer: wait=20\r\nHost") + body)
            (job_id,) = wait_until(lambda: set(client.zrange("darkroom:jobs", 0, -1)) - before, "the job is sealed")
    with service.client() as http:
        assert finished(http, job_id)["counts"]["succeeded"] == 20


def test_slow_client(service):
    body = multipart((b'name="files"; filename="a.png"', png()), (b'name="files"; filename="b.png"', png(1)))
    with connection(service) as sock:
        sock.sendall(head(len(body), MULTIPART))
        step = len(body) // 30 + 1
        for start in range(0, len(body), step):
            sock.sendall(body[start : start + step])
            time.sleep(0.05)  # a slow client
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 202 ")


def test_client_that_asks_before_it_sends(service):
    """`Expect: 100-continue`, as curl sends it with a big body."""
    body = png()
    with connection(service) as sock:
        sock.sendall(head(len(body), "image/png").replace(b"Host", b"Expect: 100-continue\r\nHost"))
        assert sock.recv(100).startswith(b"HTTP/1.1 100 ")
        sock.sendall(body)
        assert sock.recv(100).startswith(b"HTTP/1.1 202 ")


def test_file_without_a_name_is_taken_whole(http):
    body = multipart((b'name="files"; filename=""', png()), (b'name="files"; filename=""', b""))
    job_id = http.post("/v1/jobs", content=body, headers={"Content-Type": MULTIPART}).json()["id"]
    assert finished(http, job_id)["counts"] == {"total": 1, "succeeded": 1, "failed": 0, "cancelled": 0}
    assert results(http, job_id)[0]["bytes"] == len(png())


def test_connection_is_used_again_after_a_refusal(service):
    """The rest of a rejected body is not read as the next request."""
    smuggled = b"DELETE /v1/jobs HTTP/1.1\r\nHost: test\r\n\r\n" * 100
    refused = head(len(smuggled), "text/plain").replace(b"Connection: close\r\n", b"") + smuggled
    answer = exchange(service, refused + b"GET /healthz HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
    assert answer.status_code == 415
    assert answer.content.count(b"HTTP/1.1 ") == answer.content.count(b"HTTP/1.1 200 OK") == 1


def ways(http, many):
    """Send the odd files in requests of every form; return the jobs' ids."""
    small = [(name, content) for name, content in many if content]
    yield http.post("/v1/jobs", files=files(*many[:400]))
    yield http.post("/v1/jobs", files=files(("a.zip", zip_of(*unique(many[400:550])))))
    tar = tar_of(*((name.replace("\0", ""), content) for name, content in many[550:700]))
    yield http.post("/v1/jobs", content=gzip.compress(tar), headers={"Content-Type": "application/gzip"})
    for name, content in many[700:800]:
        yield http.post("/v1/jobs", content=content, headers={"Content-Type": "image/jpeg"})
        yield http.post("/v1/jobs", files=files((name, content)))
    job_id = open_job(http)
    for start in (800, 850):
        answer = http.post(f"/v1/jobs/{job_id}/items", files=files(*many[start : start + 50]))
        assert answer.status_code == 200
    for number, (_, content) in enumerate(small[900:]):
        assert put(http, job_id, f"k{number}", content).status_code in (201, 409, 413, 415, 422)
    yield http.post(f"/v1/jobs/{job_id}/seal")


def unique(many):
    """Return a zip without repeated names, of which Python would warn."""
    return [(f"{number}/{name.replace(chr(0), '')}", content) for number, (name, content) in enumerate(many)]


def test_a_thousand_odd_files(service, http):
    """No request causes a server error, every job ends, and every failure has a reason."""
    many = list(odd.odd_files(20261122, 1000))
    jobs = []
    for answer in ways(http, many):
        assert answer.status_code < 500, answer.text
        if answer.status_code == 202:
            jobs.append(answer.json()["id"])
    assert len(jobs) > 50
    ended = [outcome(item) for job_id in jobs if finished(http, job_id) for item in results(http, job_id)]
    assert ended.count("succeeded") > 100 and "crashed" not in ended and "cancelled" not in ended
    for job_id in jobs:
        counts = http.get(f"/v1/jobs/{job_id}").json()["counts"]
        states = [item["state"] for item in results(http, job_id)]
        assert counts == {"total": len(states), **{name: states.count(name) for name in counts if name != "total"}}
    assert "Traceback" not in (service.data_dir / "run" / "log" / "classify-bulk.log").read_text()
    assert http.get("/readyz").status_code == 200
