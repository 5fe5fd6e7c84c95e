"""Hourly quotas of API keys, in the running service with small ones."""

from __future__ import annotations

import re
from contextlib import closing

import httpx

from tests.conftest import Service, wait_until
from tests.fixtures import odd
from tests.integration.helpers import connection, exchange, files, finished, open_job, png, problem, put, submit
from tests.keys_kit import KEYS, SETTINGS, client_of

MOST = {name: int(SETTINGS[f"{name}_per_hour"]) for name in ("requests", "bytes", "items")}


def left(answer: httpx.Response) -> dict[str, int]:
    """Return what is left of each quota; check both headers."""
    policy = dict(re.findall(r'"(\w+)";q=(\d+);w=3600', answer.headers["RateLimit-Policy"]))
    found = re.findall(r'"(\w+)";r=(\d+);t=(\d+)', answer.headers["RateLimit"])
    assert {name: MOST[name] for name in policy} == {name: int(most) for name, most in policy.items()}
    assert policy.keys() == {name for name, _, _ in found} and all(1 <= int(reset) <= 3600 for _, _, reset in found)
    return {name: int(rest) for name, rest, _ in found}


def refused(answer: httpx.Response, counted: str) -> None:
    assert counted in problem(answer, 429)["detail"]
    assert 1 <= int(answer.headers["Retry-After"]) <= 3600


def key_of(service: Service, http: httpx.Client, name: str) -> httpx.Client:
    """Return a client with a new key, so that its quotas are unused."""
    from tests.contract.test_keys import keys_command
    from tests.keys_kit import bearer

    http.headers.update(bearer(keys_command(service, "create", name).stdout.strip()))
    return http


def test_bytes_and_items_run_out(keyed_service):
    """Given a new key, when it sends more than its quota, then the response says when to retry."""
    with keyed_service.client() as client:
        http = key_of(keyed_service, client, "sender")
        rest = left(http.post("/v1/jobs", files=files(("a.png", png(1)), ("b.png", png(2)))))
        assert rest["items"] == MOST["items"] - 2 and rest["bytes"] < MOST["bytes"] - 2 * len(png())
        refused(http.post("/v1/jobs", files=files(*((f"{n}.png", png(n)) for n in range(29)))), "items")
        jobs = http.get("/v1/jobs").json()["data"]
        assert len(jobs) == 1, "of the refused request nothing is left"
        problem(http.post("/v1/jobs", content=bytes(MOST["bytes"] + 1), headers={"Content-Type": "image/png"}), 413)
        unsaid = http.post("/v1/jobs", content=iter([bytes(1000)]), headers={"Content-Type": "image/png"})
        problem(unsaid, 413)  # a body of unknown length counts in MiB, which is more than the quota
        body = bytes(left(http.get("/v1/jobs")).get("bytes", MOST["bytes"] - 20_000))
        refused(http.post("/v1/jobs", content=body, headers={"Content-Type": "image/png"}), "bytes")
        assert http.get("/v1/jobs").status_code == 200


def test_jobs_that_are_not_over_are_limited(keyed_service):
    with keyed_service.client() as client:
        http = key_of(keyed_service, client, "opener")
        jobs = [open_job(http) for _ in range(int(SETTINGS["max_open_jobs"]))]
        for more in ({"json": {"kind": "classification"}}, {"files": files(("a.png", png()))}):
            refused(http.post("/v1/jobs", **more), "unfinished")
        http.post(f"/v1/jobs/{jobs[0]}/cancel")
        put(http, jobs[1], "cut", odd.cut(png()))
        http.post(f"/v1/jobs/{jobs[1]}/seal")
        over = finished(http, jobs[1])["id"]
        jobs += [open_job(http), open_job(http)]
        refused(http.post(f"/v1/jobs/{over}/retry"), "unfinished")
        http.post(f"/v1/jobs/{jobs[-1]}/cancel")
        finished(http, submit(http, ("a.png", png())))
        jobs[0] = open_job(http)
        for job in jobs:
            http.post(f"/v1/jobs/{job}/cancel")


def test_requests_run_out_for_one_key_alone(keyed_service):
    with client_of(keyed_service, "busy") as http:
        before = left(http.get("/v1/queues"))["requests"]
        assert left(http.get("/v1/queues"))["requests"] == before - 1
        wait_until(lambda: http.get("/v1/queues").status_code == 429, "the requests run out", every=0)
        refused(http.get("/v1/jobs"), "requests")
        assert http.get("/readyz").status_code == 200 and "RateLimit" not in http.get("/readyz").headers
    with client_of(keyed_service, "admin") as http:
        assert http.get("/v1/queues").status_code == 200


def test_strangers_are_counted_by_their_address(keyed_service):
    with keyed_service.client() as http:
        addresses = ("2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1", "192.0.2.1", "nowhere")
        asked = [http.get("/v1/jobs", headers={"X-Forwarded-For": f"10.0.0.1, {address}"}) for address in addresses]
        used = [MOST["requests"] - left(answer)["requests"] for answer in asked]
        assert used == [1, 2, 1, 1, 1], "the first two are of one customer; what a stranger claims does not count"


def test_the_keyless_start_has_no_limits(http):
    assert not {"RateLimit", "RateLimit-Policy"} & http.get("/v1/jobs").headers.keys()


def expecting(key: str, length: int) -> bytes:
    return (
        f"POST /v1/jobs HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {key}\r\nContent-Type: image/png\r\n"
        f"Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
    ).encode()


def test_expect_100_continue_is_refused_before_the_body(keyed_service):
    """Given `Expect: 100-continue`, then the client may continue, or is rejected before it sends the body."""
    assert exchange(keyed_service, expecting("wrong", 10**9)).status_code == 401
    assert exchange(keyed_service, expecting(KEYS["ann"], 10**9)).status_code == 413
    with closing(connection(keyed_service)) as sock:
        sock.sendall(expecting(KEYS["ann"], len(png())))
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(png())
        assert sock.recv(100).startswith(b"HTTP/1.1 202 ")
