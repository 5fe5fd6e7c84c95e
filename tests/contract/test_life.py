"""Cancel, retry and delete of jobs."""

from __future__ import annotations

import pytest

from tests.fixtures import make, odd
from tests.integration.helpers import (
    files,
    finished,
    nothing_left,
    open_job,
    png,
    problem,
    put,
    results,
    submit,
    traces,
)


@pytest.fixture(scope="module")
def photos():
    """Return pictures that keep a worker busy, few of which make a chunk."""
    photo = make.photo(12)
    return [(f"{number}.jpg", photo) for number in range(40)]


@pytest.fixture
def stopped(http, photos) -> dict:
    """Return a job that was cancelled while running."""
    job_id = submit(http, *photos)
    answer = http.post(f"/v1/jobs/{job_id}/cancel")
    assert answer.status_code == 202 and answer.json()["state"] in ("cancelling", "cancelled")
    return finished(http, job_id)


def test_cancel_stops_a_running_job_and_keeps_finished_items(http, stopped):
    counts = stopped["counts"]
    assert stopped["state"] == "cancelled" and counts["cancelled"] > 0 and counts["failed"] == 0
    again = http.post(f"/v1/jobs/{stopped['id']}/cancel")
    assert again.status_code == 200 and again.json()["counts"] == counts
    items = results(http, stopped["id"])
    assert [item["state"] for item in items].count("cancelled") == counts["cancelled"]
    assert all(item["predictions"] for item in items if item["state"] == "succeeded")


def test_retry_queues_the_cancelled_items_again(http, stopped):
    answer = http.post(f"/v1/jobs/{stopped['id']}/retry")
    assert answer.status_code == 202 and not answer.json()["done"]
    assert answer.headers["Location"] == f"/v1/jobs/{stopped['id']}"
    over = finished(http, stopped["id"])
    assert over["state"] == "succeeded" and over["counts"]["succeeded"] == over["counts"]["total"] == 40
    items = results(http, stopped["id"])
    assert len(items) == len({item["key"] for item in items}) == 40
    problem(http.post(f"/v1/jobs/{stopped['id']}/retry"), 409)


def test_retry_of_failed_items_gives_the_same_failure(http):
    cut = odd.cut(make.photo(0.1))
    job_id = submit(http, ("cut.jpg", cut), ("good.png", png()))
    assert finished(http, job_id)["counts"]["failed"] == 1
    good = results(http, job_id, state="succeeded")
    assert http.post(f"/v1/jobs/{job_id}/retry").status_code == 202
    assert finished(http, job_id)["counts"] == {"total": 2, "succeeded": 1, "failed": 1, "cancelled": 0}
    assert results(http, job_id, state="succeeded") == good  # a committed result never changes
    assert len(results(http, job_id)) == 2


def test_retry_without_failed_items(http):
    job_id = submit(http, ("a.png", png()))
    finished(http, job_id)
    problem(http.post(f"/v1/jobs/{job_id}/retry"), 409)


def test_cancel_of_an_open_job(http):
    job_id = open_job(http)
    assert http.post(f"/v1/jobs/{job_id}/cancel").status_code == 202
    assert http.post(f"/v1/jobs/{job_id}/cancel").status_code == 200
    problem(put(http, job_id, "late", png()), 409)
    assert http.delete(f"/v1/jobs/{job_id}").status_code == 204


def test_delete_removes_every_trace(service, http):
    with nothing_left(service):
        job_id = submit(http, ("a.png", png(1)), ("b.png", png(2)), ("c.jpg", b"text"))
        finished(http, job_id)
        assert any(job_id in path for path in traces(service)["blobs"])
        answer = http.delete(f"/v1/jobs/{job_id}")
        assert answer.status_code == 204 and answer.content == b""
        own = f"/v1/jobs/{job_id}"
        for path in (own, f"{own}/results", f"{own}/results.csv", f"{own}/items", f"{own}/items/000001/image"):
            problem(http.get(path), 404)
        for path in (f"{own}/cancel", f"{own}/retry", f"{own}/seal"):
            problem(http.post(path), 404)
        problem(http.post(f"{own}/items", files=files(("a.png", png()))), 404)
        problem(http.delete(own), 404)
        assert not any(job_id in path for path in traces(service)["blobs"])


def test_delete_of_a_running_job(http):
    job_id = open_job(http)
    put(http, job_id, "a", png())
    problem(http.delete(f"/v1/jobs/{job_id}"), 409)
    http.post(f"/v1/jobs/{job_id}/seal")
    finished(http, job_id)
    assert http.delete(f"/v1/jobs/{job_id}").status_code == 204
