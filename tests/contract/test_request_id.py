"""`X-Request-Id`: taken or made, on every answer, and in the log from the request to the worker."""

from __future__ import annotations

import json
import re

import httpx
import pytest

from tests.conftest import Service, wait_until
from tests.integration.helpers import png


def lines(service: Service, program: str) -> list[dict]:
    """The whole lines of a program's log: JSON objects with these fields, but for what a decoder's C code may say."""
    text = (service.data_dir / "run" / "log" / f"{program}.log").read_text()
    whole = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
    found = [json.loads(line) for line in whole if line.startswith("{") or program in ("web", "reconcile")]
    assert all(line.keys() >= {"event", "level", "logger", "timestamp"} for line in found)
    return found


@pytest.mark.parametrize("path", ["/healthz", "/v1/jobs/none", "/nowhere", "/static/theme.js"])
def test_an_answer_has_the_id_that_the_request_came_with(http: httpx.Client, path: str) -> None:
    own = "01J9Z3NDEKTSV4RRFFQ69G5FAV"
    assert http.get(path, headers={"X-Request-Id": own}).headers["X-Request-Id"] == own


@pytest.mark.parametrize("given", [None, "", "two words", "a" * 129, '{"a":1}', "é".encode()])
def test_an_id_is_made_if_the_request_has_none_or_an_unsafe_one(http: httpx.Client, given) -> None:
    headers = {} if given is None else {"X-Request-Id": given}
    found = [http.get("/healthz", headers=headers).headers["X-Request-Id"] for _ in range(2)]
    assert all(re.fullmatch(r"[0-9a-f]{32}", own) for own in found)
    assert found[0] != found[1]


def test_a_repeated_request_has_its_own_id_not_that_of_the_first(http: httpx.Client) -> None:
    same = {"Idempotency-Key": "request-id-test", "Content-Type": "application/json"}
    answers = [
        http.post("/v1/jobs", json={"kind": "classification"}, headers={**same, "X-Request-Id": own})
        for own in ("first", "second")
    ]
    assert answers[1].headers["Idempotency-Replayed"] == "true"
    assert [answer.headers["X-Request-Id"] for answer in answers] == ["first", "second"]
    http.post(f"/v1/jobs/{answers[0].json()['id']}/cancel")


def test_the_log_tells_what_became_of_a_request_down_to_its_worker(service: Service, http: httpx.Client) -> None:
    """Given a request with an id, When its picture is classified, Then one line of `web` and one of the worker tell it.

    What may be a secret is in neither.
    """
    headers = {"X-Request-Id": "to-the-worker", "Content-Type": "image/png", "Authorization": "Bearer hush-header"}
    answer = http.post("/v1/jobs", content=png(77), headers={**headers, "Prefer": "wait=30"})
    own = {"request_id": "to-the-worker", "job_id": answer.json()["id"]}
    http.get("/v1/jobs", params={"limit": 1, "token": "hush-query"}, headers={"X-Request-Id": "with-a-query"})

    def about(program: str, request_id: str) -> list[dict]:
        return [line for line in lines(service, program) if line.get("request_id") == request_id]

    (request,) = wait_until(lambda: about("web", "to-the-worker"), "web has logged the request")
    assert request.items() >= {**own, "method": "POST", "route": "/v1/jobs", "owner": "local", "status": 200}.items()
    assert (request["bytes_received"], request["bytes_sent"]) == (len(png(77)), len(answer.content))
    assert request["duration_s"] > 0

    workers = ("classify-interactive", "classify-bulk")
    chunks = wait_until(lambda: [line for name in workers for line in about(name, "to-the-worker")], "so has a worker")
    (chunk,) = chunks
    assert chunk.items() >= {**own, "event": "chunk committed", "items": 1, "failed": 0}.items()
    assert all(chunk[f"{stage}_s"] >= 0 for stage in ("wait", "claim", "read", "decode", "forward", "commit"))

    wait_until(lambda: about("web", "with-a-query"), "the request with a query is there")
    lines(service, "reconcile")
    assert "hush" not in service.log()
