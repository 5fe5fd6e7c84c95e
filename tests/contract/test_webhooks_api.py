"""Webhooks of the running service: every way to request one, delivery at the job's end, list and redelivery."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from standardwebhooks import Webhook

from cli.stack.embedded_redis import free_port
from tests.conftest import ROOT, wait_until
from tests.integration.helpers import files, finished, nothing_left, open_job, png, problem, put, submit
from tests.receiver import Call, Receiver, hang, receiving

PNG = {"Content-Type": "image/png"}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def secret(http: httpx.Client) -> str:
    return http.get("/v1/webhooks/secret").json()["secret"]


def deliveries(http: httpx.Client, job_id: str) -> list[dict]:
    answer = http.get(f"/v1/jobs/{job_id}/deliveries")
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def delivered(http: httpx.Client, job_id: str) -> dict:
    """Wait until the job's only delivery has succeeded; return it."""
    (delivery,) = wait_until(
        lambda: [found for found in deliveries(http, job_id) if found["state"] == "delivered"], "it is delivered"
    )
    return delivery


def call_about(receiver: Receiver, job_id: str) -> Call:
    return wait_until(
        lambda: next((call for call in receiver.calls if call.event["data"]["id"] == job_id), None), "the call comes"
    )


def by_json(http: httpx.Client, url: str) -> str:
    job_id = open_job(http, webhook=url)
    assert put(http, job_id, "a", png()).status_code == 201
    assert http.post(f"/v1/jobs/{job_id}/seal").status_code == 202
    return job_id


def by_part(http: httpx.Client, url: str) -> str:
    """The part may come after the files in a form."""
    parts = [*files(("a.png", png()), ("broken.png", b"no picture")), ("webhook", (None, url))]
    return http.post("/v1/jobs", files=parts).json()["id"]


def by_query(http: httpx.Client, url: str) -> str:
    return http.post("/v1/jobs", params={"webhook": url}, content=png(), headers=PNG).json()["id"]


@pytest.mark.parametrize("ask", [by_json, by_part, by_query])
def test_a_webhook_is_called_when_the_job_ends(
    http: httpx.Client, receiver: Receiver, ask: Callable[[httpx.Client, str], str]
) -> None:
    url = f"{receiver.url}?key=a%20b&more"
    job_id = ask(http, url)
    job = finished(http, job_id)
    assert job["webhook"] == url
    call = call_about(receiver, job_id)
    assert call.path == "/hook?key=a%20b&more"
    event = Webhook(secret(http)).verify(call.body, call.headers)
    assert event["type"] == "job.succeeded" and event["timestamp"] == job["finished_at"]
    assert {name: job[name] for name in event["data"] if name != "links"} == {
        name: value for name, value in event["data"].items() if name != "links"
    }
    assert event["data"]["links"].items() <= job["links"].items()
    delivery = delivered(http, job_id)
    (attempt,) = delivery.pop("attempts")
    assert delivery == {
        "id": call.id,
        "type": "job.succeeded",
        "state": "delivered",
        "created_at": job["finished_at"],
        "next_attempt_at": None,
    }
    assert (attempt["status"], attempt["error"]) == (204, None) and attempt["duration_s"] >= 0


def test_a_cancelled_training_calls_its_webhook(http: httpx.Client, receiver: Receiver) -> None:
    wanted = {"kind": "training", "params": {"preset": "seed", "epochs": 1}, "webhook": receiver.url}
    job_id = http.post("/v1/jobs", json=wanted).json()["id"]
    http.post(f"/v1/jobs/{job_id}/cancel")
    data = call_about(receiver, job_id).event["data"]
    assert (data["kind"], data["state"]) == ("training", finished(http, job_id)["state"])
    assert http.delete(f"/v1/jobs/{job_id}").status_code == 204


def test_a_receiver_that_hangs_stalls_neither_work_nor_others(http: httpx.Client, receiver: Receiver) -> None:
    """Given a receiver that hangs, when other jobs run, then they end and their receiver is called."""
    with receiving() as dead:
        dead.manners = [hang] * 20
        waiting = [by_query(http, dead.url) for _ in range(8)]
        wait_until(lambda: dead.calls, "it is called")
        job_id = by_query(http, receiver.url)
        delivered(http, job_id)
        states = [found["state"] for job_id in waiting for found in deliveries(http, job_id)]
        assert set(states) == {"pending"}
        for job_id in waiting:
            finished(http, job_id)
            assert http.delete(f"/v1/jobs/{job_id}").status_code == 204


def test_a_delivery_can_be_sent_again(http: httpx.Client, receiver: Receiver) -> None:
    receiver.manners = [410]
    job_id, other = by_query(http, receiver.url), submit(http, ("a.png", png()))
    (failed,) = wait_until(
        lambda: [found for found in deliveries(http, job_id) if found["state"] == "failed"], "the receiver is gone"
    )
    assert failed["attempts"][0]["error"]["code"] == "gone" and failed["next_attempt_at"] is None
    answer = http.post(f"/v1/jobs/{job_id}/deliveries/{failed['id']}/redeliver")
    assert answer.status_code == 202 and answer.json()["id"] == failed["id"]
    assert [attempt["status"] for attempt in delivered(http, job_id)["attempts"]] == [410, 204]
    assert len({(call.id, call.body) for call in receiver.calls}) == 1 and len(receiver.calls) == 2
    for wrong in (
        f"{job_id}/deliveries/{job_id}-2",
        f"{other}/deliveries/{failed['id']}",
        f"{job_id}/deliveries/x",
        f"{job_id}/deliveries/{failed['id']}:attempts",
    ):
        problem(http.post(f"/v1/jobs/{wrong}/redeliver"), 404)
    assert deliveries(http, other) == [] and http.get(f"/v1/jobs/{other}").json()["webhook"] is None
    problem(http.get(f"/v1/jobs/{'0' * 32}/deliveries"), 404)


@pytest.mark.parametrize(
    "url", ["", "receiver.example", "ftp://receiver.example/", "http://10.0.0.1/", "http://127.0.0.2/", "http://[::1]/"]
)
def test_a_webhook_that_may_not_be_is_named(service, http: httpx.Client, url: str) -> None:
    with nothing_left(service):
        refused = [
            (http.post("/v1/jobs", json={"kind": "classification", "webhook": url}), "/webhook"),
            (http.post("/v1/jobs", files=[*files(("a.png", png())), ("webhook", (None, url))]), "/webhook"),
            (http.post("/v1/jobs", params={"webhook": url}, content=png(), headers=PNG), "webhook"),
        ]
        for answer, pointer in refused:
            (fault,) = problem(answer, 422)["errors"]
            assert fault["pointer"] == pointer


def test_a_webhook_stands_in_one_place_only(http: httpx.Client, receiver: Receiver) -> None:
    query = {"webhook": receiver.url}
    for answer in (
        http.post("/v1/jobs", params=query, json={"kind": "classification"}),
        http.post("/v1/jobs", params=query, files=files(("a.png", png()))),
        http.post(f"/v1/jobs?webhook={receiver.url}&webhook={receiver.url}", content=png(), headers=PNG),
    ):
        assert problem(answer, 422)["errors"][0]["pointer"] == "webhook"
    problem(http.post("/v1/jobs", json={"kind": "classification", "webhook": 7}), 422)
    problem(http.post("/v1/jobs", files=[("webhook", (None, "x" * 100_000))]), 413)


def test_a_new_secret_signs_beside_the_one_before(http: httpx.Client, receiver: Receiver) -> None:
    before = http.get("/v1/webhooks/secret")
    assert before.headers["Cache-Control"] == "no-store" and before.json()["secret"] == secret(http)
    after = http.post("/v1/webhooks/secret").json()
    assert after["secret"] != before.json()["secret"] and after["previous_until"]
    call = call_about(receiver, by_query(http, receiver.url))
    for one in (before.json()["secret"], after["secret"]):
        assert Webhook(one).verify(call.body, call.headers)["type"] == "job.succeeded"


def test_the_example_in_the_docs_receives_and_checks(http: httpx.Client, tmp_path: Path) -> None:
    """Given the receiver of docs/webhooks.md, then it prints signed calls and rejects others."""
    text = (ROOT / "docs" / "webhooks.md").read_text()
    example = text.partition("```python\n")[2].partition("```")[0]
    port, out = free_port(), tmp_path / "out"
    with out.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", example.replace("8000", str(port))],
            env={**os.environ, "WEBHOOK_SECRET": secret(http)},
            stdout=output,
            stderr=subprocess.DEVNULL,
        )
    try:
        url = f"http://127.0.0.1:{port}/"
        wait_until(lambda: answers(url), "it listens")
        assert httpx.post(url, json={"type": "job.succeeded"}, trust_env=False).status_code == 401
        job_id = by_query(http, url)
        delivered(http, job_id)
        counts = finished(http, job_id)["counts"]
        assert out.read_text() == f"job.succeeded {job_id} {counts}\n"
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 501
    except httpx.TransportError:
        return False
