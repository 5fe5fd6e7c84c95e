"""`Idempotency-Key` on every kind of POST, against the running service."""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from shared.access.idempotency import IN_FLIGHT
from shared.domain.entities import LOCAL_OWNER
from shared.redis import keys
from tests.conftest import wait_until
from tests.integration.helpers import JSON, files, finished, open_job, png, problem, put, redis_of, zip_of

PNG = {"Content-Type": "image/png"}


def new_key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid.uuid4())}


def jobs(http: httpx.Client) -> set[str]:
    return {job["id"] for job in http.get("/v1/jobs", params={"limit": 1000}).json()["data"]}


def requests() -> dict[str, dict]:
    return {
        "open job": {"content": json.dumps({"kind": "classification"}), "headers": JSON},
        "one picture": {"content": png(1), "headers": PNG},
        "one that is waited for": {"content": png(1), "headers": {**PNG, "Prefer": "wait=30"}},
        "zip": {"content": zip_of(("a.png", png(1))), "headers": {"Content-Type": "application/zip"}},
        "multipart": {"files": files(("a.png", png(1)), ("b.png", png(2)))},
    }


def post(http: httpx.Client, request: dict, key: dict[str, str]) -> httpx.Response:
    return http.post("/v1/jobs", **{**request, "headers": {**request.get("headers", {}), **key}})


def place_of(key: dict[str, str]) -> str:
    return keys.idempotency(hashlib.sha256(f"{LOCAL_OWNER} {key['Idempotency-Key']}".encode()).hexdigest())


@pytest.mark.parametrize("kind", requests())
def test_a_repeat_gets_the_first_answer_and_makes_no_second_job(http, kind):
    request, key = requests()[kind], new_key()
    first = post(http, request, key)
    assert first.status_code in (200, 201, 202) and "Idempotency-Replayed" not in first.headers
    before = jobs(http)
    again = post(http, request, key)
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert jobs(http) == before


@pytest.mark.parametrize("kind", requests())
def test_a_key_that_came_with_another_request_is_refused(http, kind):
    key = new_key()
    assert post(http, {"content": png(3), "headers": PNG}, key).status_code == 202
    before = jobs(http)
    answer = post(http, requests()[kind], key)
    assert problem(answer, 422)["errors"][0]["pointer"] == "Idempotency-Key"
    assert jobs(http) == before


def test_the_same_body_to_another_address_is_another_request(http):
    first, second, key = open_job(http), open_job(http), new_key()
    for job in (first, second):
        put(http, job, "a", png(1))
    assert http.post(f"/v1/jobs/{first}/seal", headers=key).status_code == 202
    problem(http.post(f"/v1/jobs/{second}/seal", headers=key), 422)
    assert http.get(f"/v1/jobs/{second}").json()["state"] == "open"


def test_items_are_added_once(http):
    job, key = open_job(http), new_key()
    parts = files(("a.png", png(1)), ("b.png", png(2)))
    answers = [http.post(f"/v1/jobs/{job}/items", files=parts, headers=key) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    http.post(f"/v1/jobs/{job}/seal")
    assert finished(http, job)["counts"]["total"] == 2


def test_files_without_keys_are_added_once_after_the_stored_response_expired(http, service):
    job, key = open_job(http), new_key()
    archive = files(("a.zip", zip_of(("a.png", png(1)), ("b.png", png(2)))))
    first = http.post(f"/v1/jobs/{job}/items", files=archive, headers=key)
    with redis_of(service) as client:
        assert client.delete(place_of(key)) == 1
    again = http.post(f"/v1/jobs/{job}/items", files=archive, headers=key)
    assert "Idempotency-Replayed" not in again.headers
    assert [item["key"] for item in again.json()["data"]] == [item["key"] for item in first.json()["data"]]
    http.post(f"/v1/jobs/{job}/seal")
    assert finished(http, job)["counts"]["total"] == 2


def test_a_repeat_while_the_first_is_in_work_is_a_conflict(http, service):
    key, go_on = new_key(), threading.Event()
    place = place_of(key)

    def slowly():
        yield png(1)[:20]
        assert go_on.wait(30)
        yield png(1)[20:]

    with ThreadPoolExecutor(1) as pool, redis_of(service) as client:
        first = pool.submit(lambda: post(http, {"content": slowly(), "headers": PNG}, key))
        try:
            wait_until(lambda: client.get(place) == IN_FLIGHT, "the first request has begun")
            problem(post(http, {"content": png(1), "headers": PNG}, key), 409)
        finally:
            go_on.set()
        assert first.result().status_code == 202
        assert 0 < client.ttl(place) <= 24 * 3600
    assert post(http, {"content": png(1), "headers": PNG}, key).json() == first.result().json()


def test_of_many_at_once_one_makes_a_job(http):
    before, key = jobs(http), new_key()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: post(http, {"content": png(1), "headers": PNG}, key), range(16)))
    assert {answer.status_code for answer in answers} <= {202, 409}
    made = {answer.json()["id"] for answer in answers if answer.status_code == 202}
    assert len(made) == 1 and jobs(http) - before == made


def test_an_error_is_not_kept(http):
    key = new_key()
    problem(post(http, {"content": b"no picture", "headers": PNG}, key), 415, 422)
    assert post(http, {"content": png(1), "headers": PNG}, key).status_code == 202


@pytest.mark.parametrize("value", [b"", b"a b", b"x" * 256, "ä".encode()])
def test_a_key_that_is_none_is_refused(http, value):
    answer = http.post(
        "/v1/jobs", content=png(1), headers=[(b"Content-Type", b"image/png"), (b"Idempotency-Key", value)]
    )
    assert problem(answer, 422)["errors"][0]["pointer"] == "Idempotency-Key"


def test_a_key_does_not_change_a_404_or_405(http):
    for address, status in (("/v1/nothing", 404), (f"/v1/jobs/{'0' * 32}", 405), ("/v1/jobs/", 404)):
        problem(http.post(address, headers=new_key()), status)


def test_other_methods_take_no_notice(http):
    key = new_key()
    assert [http.get("/v1/jobs", headers=key).status_code for _ in range(2)] == [200, 200]
