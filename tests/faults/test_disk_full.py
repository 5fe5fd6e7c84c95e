"""The disk fills up: uploads get 503 before Redis runs out of space, and work again once there is space."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.conftest import Service
from tests.faults.kit import MIB, SPARE, Arena
from tests.integration.helpers import (
    MULTIPART,
    files,
    finished,
    multipart,
    nothing_left,
    open_job,
    png,
    problem,
    put,
    results,
    submit,
)
from tests.integration.trainings_kit import ENDLESS, ended, train, wait_for_rows

NOISE = random.Random(2).randbytes(MIB)


@pytest.fixture
def service(cramped: Arena) -> Service:
    return cramped.service


@pytest.fixture
def http(service: Service) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client


@contextmanager
def full(service):
    """Fill the disk up to the reserve while the block runs."""
    filler = service.data_dir / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, SPARE)
    try:
        yield
    finally:
        filler.unlink()


def test_no_room_for_anything(service, http):
    """Given a full disk, then uploads get 503 and leave nothing behind, and existing jobs are readable."""
    job_id, filling = submit(http, ("a.png", png()), ("b.png", png(1))), open_job(http)
    finished(http, job_id)
    before = results(http, job_id)
    with nothing_left(service), full(service):
        for answer in (
            http.post("/v1/jobs", files=files(("a.png", png()))),
            http.post("/v1/jobs", content=png(), headers={"Content-Type": "image/png"}),
            http.post("/v1/jobs", content=iter([png()]), headers={"Content-Type": "image/png"}),
            http.post(f"/v1/jobs/{filling}/items", files=files(("a.png", png()))),
            put(http, filling, "key", png()),
        ):
            problem(answer, 503)
            assert answer.headers["Retry-After"] == "60"
        assert http.get("/readyz").json()["checks"]["storage"]["ok"] is False
        assert http.get("/healthz").status_code == 200
        assert results(http, job_id) == before
        assert http.get(f"/v1/jobs/{job_id}/items/000001/image").content == png()
    assert http.get("/readyz").status_code == 200
    assert http.get(f"/v1/jobs/{filling}").json()["counts"]["total"] == 0
    assert put(http, filling, "key", png()).status_code == 201
    assert finished(http, submit(http, ("a.png", png())))["counts"]["succeeded"] == 1


def test_request_that_cannot_fit_is_refused_by_its_length(service, http):
    with nothing_left(service):
        problem(http.post("/v1/jobs", content=NOISE * (SPARE // MIB), headers={"Content-Type": "application/zip"}), 503)


@pytest.mark.parametrize("kind", ["application/zip", "image/png"])
def test_request_of_unknown_length_that_does_not_fit(service, http, kind):
    """Given a body without a length, when the disk fills up meanwhile, then the reserve is kept and Redis works."""
    job_id = open_job(http)
    assert put(http, job_id, "a", png()).status_code == 201
    pieces = [b"PK\x03\x04" if "zip" in kind else png(), *[NOISE] * 400]
    with nothing_left(service):
        problem(http.post("/v1/jobs", content=iter(pieces), headers={"Content-Type": kind}), 503, 413)
        assert put(http, job_id, "b", png(1)).status_code == 201
        assert http.delete(f"/v1/jobs/{seal_and_finish(http, job_id)}").status_code == 204
    assert not list(service.data_dir.glob("tmp*"))


def seal_and_finish(http, job_id: str) -> str:
    http.post(f"/v1/jobs/{job_id}/seal")
    assert finished(http, job_id)["state"] == "succeeded"
    return job_id


def test_pictures_that_fit_one_by_one_and_not_together(service, http):
    body = (multipart((b'name="files"; filename="x.png"', png(n) + NOISE * 3), end=False) for n in range(40))
    with nothing_left(service):
        problem(http.post("/v1/jobs", content=body, headers={"Content-Type": MULTIPART}), 503)
    assert finished(http, submit(http, ("a.png", png())))["counts"]["succeeded"] == 1


def test_a_full_disk_fails_the_training_and_says_so(service, http):
    """Redis has space then, but a checkpoint does not."""
    with full(service):
        job = ended(http, train(http, **ENDLESS))
        assert (job["state"], job["error"]["code"]) == ("failed", "storage_full")
        assert "disk" in job["error"]["detail"]
    assert http.post(f"/v1/jobs/{job['id']}/retry").status_code == 202
    wait_for_rows(http, job["id"])
    http.post(f"/v1/jobs/{job['id']}/cancel")
    assert ended(http, job["id"])["state"] == "cancelled"
