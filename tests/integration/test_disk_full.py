"""The disk fills up: uploads get 503 before Redis runs out of space, and work again once there is space."""

from __future__ import annotations

import os
import random
from contextlib import contextmanager

import pytest

from shared.storage.blobs import RESERVE_BYTES
from tests.conftest import running_service
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
from tests.programs import small_disk

MIB = 1024 * 1024
#: Bytes of the disk beyond the reserve: for Redis's file, the logs and some pictures.
SPARE = 40 * MIB
NOISE = random.Random(2).randbytes(MIB)


@pytest.fixture(scope="module")
def cramped(tmp_path_factory):
    """Run a service on a small disk; mounting it takes root."""
    folder = tmp_path_factory.mktemp("disk")
    with small_disk(folder, RESERVE_BYTES + SPARE) as disk, running_service(disk / "var") as service:
        yield service


@pytest.fixture
def http(cramped):
    with cramped.client() as client:
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


def test_no_room_for_anything(cramped, http):
    """Given a full disk, then uploads get 503 and leave nothing behind, and existing jobs are readable."""
    job_id, filling = submit(http, ("a.png", png()), ("b.png", png(1))), open_job(http)
    finished(http, job_id)
    before = results(http, job_id)
    with nothing_left(cramped), full(cramped):
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


def test_request_that_cannot_fit_is_refused_by_its_length(cramped, http):
    with nothing_left(cramped):
        problem(http.post("/v1/jobs", content=NOISE * 60, headers={"Content-Type": "application/zip"}), 503)


@pytest.mark.parametrize("kind", ["application/zip", "image/png"])
def test_request_of_unknown_length_that_does_not_fit(cramped, http, kind):
    """Given a body without a length, when the disk fills up meanwhile, then the reserve is kept and Redis works."""
    job_id = open_job(http)
    assert put(http, job_id, "a", png()).status_code == 201
    pieces = [b"PK\x03\x04" if "zip" in kind else png(), *[NOISE] * 400]
    with nothing_left(cramped):
        problem(http.post("/v1/jobs", content=iter(pieces), headers={"Content-Type": kind}), 503, 413)
        assert put(http, job_id, "b", png(1)).status_code == 201
        assert http.delete(f"/v1/jobs/{seal_and_finish(http, job_id)}").status_code == 204
    assert not list(cramped.data_dir.glob("tmp*"))


def seal_and_finish(http, job_id: str) -> str:
    http.post(f"/v1/jobs/{job_id}/seal")
    assert finished(http, job_id)["state"] == "succeeded"
    return job_id


def test_pictures_that_fit_one_by_one_and_not_together(cramped, http):
    body = (multipart((b'name="files"; filename="x.png"', png(n) + NOISE * 3), end=False) for n in range(40))
    with nothing_left(cramped):
        problem(http.post("/v1/jobs", content=body, headers={"Content-Type": MULTIPART}), 503)
    assert finished(http, submit(http, ("a.png", png())))["counts"]["succeeded"] == 1
