"""Redis stops, hangs, and comes back: every call gets 503, and no job is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import redis

from tests.conftest import Service, wait_until
from tests.faults.kit import Arena, OwnRedis
from tests.integration.helpers import (
    JSON,
    MULTIPART,
    finished,
    multipart,
    open_job,
    png,
    problem,
    put,
    results,
    submit,
)

#: Seconds within which every call is answered, even if the cores are busy: less than the 30 of a long poll.
ANSWER_S = 25


@pytest.fixture
def own(own_redis: OwnRedis) -> OwnRedis:
    return own_redis


@pytest.fixture
def apart(arena_apart: Arena) -> Service:
    return arena_apart.service


@pytest.fixture
def http(apart: Service) -> Iterator[httpx.Client]:
    with apart.client() as client:
        yield client


@pytest.fixture
def calls(http):
    """Return every API call that needs Redis, on a finished and on an open job."""
    done, filling = submit(http, ("a.png", png())), open_job(http)
    finished(http, done)
    own, other = f"/v1/jobs/{done}", f"/v1/jobs/{filling}"
    multi = {"content": multipart((b'name="files"; filename="a.png"', png())), "headers": {"Content-Type": MULTIPART}}
    image = {"content": png(), "headers": {"Content-Type": "image/png"}}
    reads = ["", "?wait=20", "/results", "/results?sort=score", "/results.csv", "/results.ndjson", "/items",
             "/items?fields=key", "/items/000001/image", "/items/000001/image?size=thumb"]  # fmt: skip
    return [
        ("GET", "/v1/jobs", {}),
        *(("GET", own + path, {}) for path in reads),
        ("POST", "/v1/jobs", multi),
        ("POST", "/v1/jobs", image),
        ("POST", "/v1/jobs", {"content": b"{}", "headers": JSON}),
        ("PUT", f"{other}/items/key", image),
        ("POST", f"{other}/items", multi),
        ("POST", f"{other}/seal", {}),
        ("POST", f"{own}/cancel", {}),
        ("POST", f"{own}/retry", {}),
        ("DELETE", own, {}),
    ]


def check_unavailable(apart, call) -> None:
    method, path, more = call
    with apart.client() as client:
        answer = client.request(method, path, timeout=ANSWER_S, **more)
    problem(answer, 503)
    assert int(answer.headers["Retry-After"]) >= 1


def check_health(apart) -> None:
    with apart.client() as client:
        assert client.get("/healthz", timeout=ANSWER_S).status_code == 200
        answer = client.get("/readyz", timeout=ANSWER_S)
        told = client.get("/metrics").text.splitlines()
    assert "darkroom_redis_up 0.0" in told
    assert any(line.startswith("darkroom_http_requests_total{") and 'status="503"' in line for line in told)
    assert answer.status_code == 503 and not answer.json()["ready"]
    assert answer.json()["checks"]["redis"]["ok"] is False and answer.json()["checks"]["storage"]["ok"] is True


def test_redis_is_killed_and_comes_back(own, apart, http, calls):
    job_id = submit(http, *((f"{n}.png", png(n)) for n in range(30)))
    before = finished(http, job_id), results(http, job_id)
    blobs = set((apart.data_dir / "blobs").rglob("*"))
    own.kill()
    for call in calls:
        check_unavailable(apart, call)
    check_health(apart)
    assert set((apart.data_dir / "blobs").rglob("*")) - {apart.data_dir / "blobs" / "probe"} <= blobs

    own.start()
    wait_until(lambda: http.get("/readyz").status_code == 200, "the service is ready again")
    assert (http.get(f"/v1/jobs/{job_id}").json(), results(http, job_id)) == before
    assert finished(http, submit(http, ("b.png", png(1))))["counts"]["succeeded"] == 1


def test_redis_hangs(own, apart, http, calls):
    with own.frozen(), ThreadPoolExecutor(8) as pool:
        for answered in [pool.submit(check_unavailable, apart, call) for call in calls]:
            answered.result()
        check_health(apart)
    wait_until(lambda: http.get("/readyz").status_code == 200, "the service is ready again")
    assert finished(http, submit(http, ("b.png", png(1))))["counts"]["succeeded"] == 1


def test_redis_is_killed_while_a_job_runs(own, http):
    """Given a running job, when Redis is killed and restarted, then the job ends."""
    job_id = submit(http, *((f"{n}.png", png(n % 50)) for n in range(600)))
    assert not http.get(f"/v1/jobs/{job_id}").json()["done"]
    own.kill()
    own.start()
    assert finished(http, job_id)["counts"] == {"total": 600, "succeeded": 600, "failed": 0, "cancelled": 0}


def test_redis_dies_while_a_client_waits(own, apart, http):
    """A long poll gets 503 when Redis stops, not after its 30 s."""
    job_id, answers = open_job(http), []

    def poll():
        with apart.client() as client:
            answers.append(client.get(f"/v1/jobs/{job_id}", params={"wait": 30}))

    thread = threading.Thread(target=poll)
    thread.start()
    with redis.Redis.from_url(own.url) as client:
        busy = client.info("stats")["total_commands_processed"]
        wait_until(lambda: client.info("stats")["total_commands_processed"] > busy + 20, "the poll looks")
    own.kill()
    thread.join(ANSWER_S)
    assert not thread.is_alive()
    problem(answers[0], 503)
    own.start()
    wait_until(lambda: http.get(f"/v1/jobs/{job_id}").status_code == 200, "the job is there again")
    assert put(http, job_id, "a", png()).status_code == 201


def test_an_upload_during_which_redis_dies_makes_no_job(own, apart, http):
    """Blobs stored before Redis stopped are invisible, and the reconciler removes them later."""
    folder, listed = apart.data_dir / "blobs" / "jobs", http.get("/v1/jobs").json()["data"]
    before = set(folder.iterdir())

    def body():
        yield multipart(*((b'name="files"; filename="a.png"', png(n)) for n in range(300)), end=False)
        wait_until(lambda: set(folder.iterdir()) - before, "something is stored")
        own.kill()
        yield multipart((b'name="files"; filename="b.png"', png()))

    problem(http.post("/v1/jobs", content=body(), headers={"Content-Type": MULTIPART}), 503)
    own.start()
    wait_until(lambda: http.get("/readyz").status_code == 200, "the service is ready again")
    assert http.get("/v1/jobs").json()["data"] == listed
    assert finished(http, submit(http, ("a.png", png())))["state"] == "succeeded"
