"""Corrections of items, and label counts, in the running service."""

from __future__ import annotations

import csv
import io
import json

import pytest

from tests.contract.test_submit import ITEM_FIELDS
from tests.integration.helpers import JSON, cifar10, finished, open_job, png, problem, put, results, submit

UNKNOWN = "0" * 32


@pytest.fixture
def job(http) -> dict:
    """Return a finished job of six pictures that get a Label, and a file that cannot be decoded."""
    job_id = submit(http, *cifar10()[-6:], ("text.png", b"no picture"))
    return finished(http, job_id)


def corrected(http, job: dict) -> dict[str, str | None]:
    return {item["key"]: item["corrected_label"] for item in results(http, job["id"])}


def counts(http, job: dict) -> dict[str, tuple[int, int]]:
    """Return label → (count, corrected) of the labels that occur."""
    answer = http.get(f"{job['links']['self']}/labels")
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/json"
    data = answer.json()["data"]
    assert all(list(entry) == ["index", "label", "count", "corrected"] for entry in data)
    assert [entry["index"] for entry in data] == list(range(10))
    return {entry["label"]: (entry["count"], entry["corrected"]) for entry in data if entry["count"]}


def other_label(item: dict) -> str:
    return "cat" if item["predictions"][0]["label"] != "cat" else "dog"


def test_a_correction_is_shown_counted_and_taken_back(http, job):
    before = results(http, job["id"])
    first = next(item for item in before if item["state"] == "succeeded")
    assert first["corrected_label"] is None
    was, now = first["predictions"][0]["label"], other_label(first)
    counts_before = counts(http, job)
    assert sum(count for count, _ in counts_before.values()) == 6
    status = http.get(job["links"]["self"]).headers["ETag"]
    own = f"{job['links']['self']}/items/{first['key']}/label"

    for _ in range(2):  # a repeat changes nothing
        answer = http.put(own, json={"label": now})
        assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/json"
        assert answer.json() == first | {"corrected_label": now}
        assert list(answer.json()) == list(ITEM_FIELDS)
    assert corrected(http, job) == {item["key"]: None for item in before} | {first["key"]: now}
    found = counts(http, job)
    assert found[now] == (counts_before.get(now, (0, 0))[0] + 1, 1)
    assert found.get(was, (0, 0))[0] == counts_before[was][0] - 1
    assert first["key"] in {item["key"] for item in results(http, job["id"], label=now)}
    assert first["key"] not in {item["key"] for item in results(http, job["id"], label=was)}
    assert [item["key"] for item in results(http, job["id"], corrected="true")] == [first["key"]]
    assert len(results(http, job["id"], corrected="false")) == 6
    assert http.get(job["links"]["self"]).headers["ETag"] == status  # state and counts have not changed
    rows = csv.DictReader(io.StringIO(http.get(f"{job['links']['results']}.csv").text))
    assert {row["key"]: (row["label"], row["corrected_label"]) for row in rows}[first["key"]] == (was, now)
    lines = map(json.loads, http.get(f"{job['links']['results']}.ndjson").text.splitlines())
    assert {item["key"]: item["corrected_label"] for item in lines}[first["key"]] == now
    listed = http.get(f"{job['links']['self']}/items").json()["data"]
    assert {item["key"]: item["corrected_label"] for item in listed}[first["key"]] == now

    for undo in (lambda: http.put(own, json={"label": None}), lambda: http.delete(own), lambda: http.delete(own)):
        answer = undo()
        assert answer.status_code == 200 and answer.json() == first
    assert counts(http, job) == counts_before
    assert results(http, job["id"]) == before


def test_many_are_corrected_in_one_step_or_none(http, job):
    good = results(http, job["id"], state="succeeded")
    (failed,) = results(http, job["id"], state="failed")
    own = f"{job['links']['self']}/labels"
    wanted = {good[0]["key"]: "ship", good[1]["key"]: "ship", good[2]["key"]: None}
    for _ in range(2):
        answer = http.post(own, json={"labels": wanted})
        assert answer.status_code == 200
        assert {item["key"]: item["corrected_label"] for item in answer.json()["data"]} == wanted
    assert counts(http, job)["ship"][1] == 2
    for key, status in ((failed["key"], 409), ("nobody", 404)):
        body = problem(http.post(own, json={"labels": {good[0]["key"]: "frog", key: "frog"}}), status)
        assert key in body["detail"]
    body = problem(http.post(own, json={"labels": {good[0]["key"]: "frog", good[1]["key"]: "fish"}}), 422)
    assert [fault["pointer"] for fault in body["errors"]] == [f"/labels/{good[1]['key']}"]
    assert [corrected(http, job)[item["key"]] for item in good[:3]] == ["ship", "ship", None]


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({"label": "fish"}, 422, "/label"),
        ({"label": "Cat"}, 422, "/label"),
        ({"label": "3"}, 422, "/label"),
        ({"label": ""}, 422, "/label"),
        ({"label": 3}, 422, "/label"),
        ({"label": True}, 422, "/label"),
        ({"label": ["cat"]}, 422, "/label"),
        ({"label": "x" * 5000}, 422, "/label"),
        ({}, 422, "/label"),
        ({"label": "cat", "sure": True}, 422, "/sure"),
        ([], 422, "/"),
        ("cat", 422, "/"),
    ],
)
def test_a_wrong_label_is_named_with_the_allowed_ones(http, job, body, status, pointer):
    (item,) = results(http, job["id"], state="succeeded")[:1]
    answer = problem(http.put(f"{job['links']['self']}/items/{item['key']}/label", json=body), status)
    (fault,) = answer["errors"]
    assert fault["pointer"] == pointer
    if body in ({"label": "fish"}, {"label": "Cat"}, {"label": "3"}):
        assert body["label"] in answer["detail"] and "airplane, automobile, bird" in fault["detail"]
    assert set(corrected(http, job).values()) == {None}


def test_invalid_json_is_refused(http, job):
    own = f"{job['links']['self']}/items/{results(http, job['id'])[0]['key']}/label"
    problem(http.put(own, content=b'{"label": "cat"', headers=JSON), 400)
    problem(http.put(own, content=b'{"label": "cat"}', headers={"Content-Type": "text/plain"}), 415)
    problem(http.put(own, content=b'{"label": "%s"}' % (b"x" * 70_000), headers=JSON), 413)
    problem(http.post(own, json={"label": "cat"}), 405)
    for body in ({"labels": {}}, {"labels": {str(n): "cat" for n in range(251)}}, {"labels": ["cat"]}, {}):
        problem(http.post(f"{job['links']['self']}/labels", json=body), 422)
    problem(http.get(f"{job['links']['self']}/labels", params={"limit": 1}), 422)


def test_only_classified_items_of_jobs_that_are_there(http, job):
    (failed,) = results(http, job["id"], state="failed")
    waiting = open_job(http)
    put(http, waiting, "text", b"no picture")
    training = http.post("/v1/jobs", json={"kind": "training", "params": {"preset": "seed"}}).json()["id"]
    http.post(f"/v1/jobs/{training}/cancel")
    for job_id, key, status in (
        (job["id"], failed["key"], 409),
        (job["id"], "nobody", 404),
        (waiting, "text", 404),
        (training, "run", 409),
        (UNKNOWN, "a", 404),
        ("nonsense", "a", 404),
    ):
        own = f"/v1/jobs/{job_id}/items/{key}/label"
        for answer in (http.put(own, json={"label": "cat"}), http.delete(own)):
            body = problem(answer, status)
            assert key in body["detail"] or job_id in body["detail"]
    problem(http.get(f"/v1/jobs/{training}/labels"), 409)
    finished(http, training)
    assert http.delete(f"/v1/jobs/{training}").status_code == 204
    problem(http.get(f"/v1/jobs/{UNKNOWN}/labels"), 404)


def test_a_correction_goes_with_its_job(http):
    job_id = open_job(http)
    put(http, job_id, "a", png())
    http.post(f"/v1/jobs/{job_id}/seal", headers={"Prefer": "wait=30"})
    own = f"/v1/jobs/{job_id}/items/a/label"
    assert http.put(own, json={"label": "cat"}).status_code == 200
    assert http.delete(f"/v1/jobs/{job_id}").status_code == 204
    problem(http.put(own, json={"label": "cat"}), 404)
    problem(http.get(f"/v1/jobs/{job_id}/labels"), 404)
