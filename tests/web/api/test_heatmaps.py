"""Heatmaps over HTTP: a request waits for a worker, and every reason why there is none is told."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from flask import Flask

from shared.domain.entities import CLASSIFICATION_QUEUES, JobKind, Upload, blob_key
from shared.redis import keys
from shared.services import Services
from tests.conftest import wait_until
from tests.shared.kit import UNREADABLE
from tests.web.api.kit import Caller, faults
from tests.worker.heatmaps.kit import centre, dog_in_the_corner, worker_of
from web.downloads import heatmaps
from worker.classify.classifier import top_predictions
from worker.serving.models import ModelCache

DOG = dog_in_the_corner()
SCORES = np.array([0, 0.01, 0.09, 0.2, 0, 0.7, 0, 0, 0, 0], np.float32)


@pytest.fixture
def people() -> dict[str, str]:
    return {"ann": "submit", "bob": "submit"}


@pytest.fixture
def ann(app: Flask) -> Caller:
    return Caller(app, "ann", "/v1/jobs")


@pytest.fixture
def bob(app: Flask) -> Caller:
    return Caller(app, "bob", "/v1/jobs")


@pytest.fixture
def job(parts: Services) -> str:
    """Create ann's job with a classified dog, a broken picture, and one that waits; return its id."""
    model = parts.registry.champion().version
    job_id = parts.store.create(JobKind.CLASSIFICATION, owner="ann", retention_s=3600, model=model)
    digest = hashlib.sha256(DOG).hexdigest()
    parts.blobs.put(blob_key(job_id, digest), DOG)
    parts.store.add(job_id, [Upload(key, key, len(DOG), digest, "image/jpeg", 400, 300) for key in ("dog", "bad")], 9)
    chunk = parts.chunks.claim("test", CLASSIFICATION_QUEUES)
    assert chunk is not None
    parts.chunks.commit(chunk, {"dog": top_predictions(SCORES), "bad": UNREADABLE})
    parts.store.add(job_id, [Upload("waits", "waits", len(DOG), digest, "image/jpeg", 400, 300)], 9)
    return job_id


@contextmanager
def working(parts: Services) -> Iterator[None]:
    """Have a worker make heatmaps while the block runs."""
    worker, stop = worker_of(parts, ModelCache(parts.registry, 2)), threading.Event()

    def run() -> None:
        while not stop.wait(0.01):
            worker.work()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_heatmap_is_made_once_and_kept_with_the_job(parts: Services, ann: Caller, job: str) -> None:
    with working(parts):
        made = ann("GET", f"/{job}/items/dog/heatmap")
        other = ann("GET", f"/{job}/items/dog/heatmap?label=cat")
    assert made.content_type == "image/png" and made.headers["X-Content-Type-Options"] == "nosniff"
    right, down = centre(made.data)
    assert right > 0.6 and down < 0.4
    # Now that no worker runs: the best label by name and by index, and another one
    for query, same in (("", made), ("?label=dog", made), ("?label=5", made), ("?label=3", other)):
        answer = ann("GET", f"/{job}/items/dog/heatmap{query}")
        assert (answer.data, answer.headers["ETag"]) == (same.data, same.headers["ETag"])
    assert made.headers["ETag"] != other.headers["ETag"]
    tag = {"If-None-Match": made.headers["ETag"]}
    assert ann("GET", f"/{job}/items/dog/heatmap", 304, headers=tag).data == b""
    # It goes with the job
    ann("POST", f"/{job}/cancel", 202)
    ann("DELETE", f"/{job}", 204)
    assert parts.blobs.keys("jobs") == []
    ann("GET", f"/{job}/items/dog/heatmap", 404)


def test_what_has_no_heatmap(parts: Services, ann: Caller, bob: Caller, job: str) -> None:
    assert "failed" in ann("GET", f"/{job}/items/bad/heatmap", 409).json["detail"]
    assert "pending" in ann("GET", f"/{job}/items/waits/heatmap", 409).json["detail"]
    ann("GET", f"/{job}/items/nothing/heatmap", 404)
    bob("GET", f"/{job}/items/dog/heatmap", 404)
    answer = ann("GET", f"/{job}/items/dog/heatmap?label=unicorn", 422)
    assert "unicorn" in answer.json["detail"] and faults(answer) == ["label"]
    assert faults(ann("GET", f"/{job}/items/dog/heatmap?lable=dog", 422)) == ["lable"]
    training = parts.store.create(JobKind.TRAINING, owner="ann", retention_s=3600)
    ann("GET", f"/{training}/items/dog/heatmap", 404)
    assert not parts.heatmaps.is_due()


def test_the_picture_is_gone(parts: Services, ann: Caller, job: str) -> None:
    parts.blobs.delete([blob_key(job, hashlib.sha256(DOG).hexdigest())])
    with working(parts):
        assert "missing" in ann("GET", f"/{job}/items/dog/heatmap", 404).json["detail"]


def test_the_version_is_gone(parts: Services, ann: Caller, job: str) -> None:
    parts.redis.hset(keys.job(job), "model", "fast-20260101-00000000")
    with working(parts):
        ann("GET", f"/{job}/items/dog/heatmap", 404)  # so are its labels


def test_no_worker_makes_it_in_time(parts: Services, ann: Caller, job: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heatmaps, "WAIT_S", 0.05)
    for _ in range(2):
        answer = ann("GET", f"/{job}/items/dog/heatmap", 503)
        assert int(answer.headers["Retry-After"]) >= 1
    assert parts.redis.zcard(keys.HEATMAPS) == 1
    with working(parts):
        wait_until(lambda: not parts.redis.zcard(keys.HEATMAPS), "a worker takes it")
    assert ann("GET", f"/{job}/items/dog/heatmap").data


def test_a_worker_dies_while_it_makes_it(parts: Services, ann: Caller, job: str) -> None:
    """Given a worker that dies, Then the request is told to ask again, and the next worker makes the heatmap."""
    answers = []
    asking = threading.Thread(target=lambda: answers.append(ann("GET", f"/{job}/items/dog/heatmap", 503)))
    asking.start()
    taken, _ = wait_until(parts.heatmaps.claim, "the heatmap is asked for")
    parts.redis.delete(keys.heatmap(taken.id))  # its lease expires
    asking.join()
    assert "lost" in answers[0].json["detail"]
    with working(parts):
        assert ann("GET", f"/{job}/items/dog/heatmap").data


def test_few_requests_wait_at_the_same_time(app: Flask, ann: Caller, job: str) -> None:
    slots, taken = app.extensions["darkroom"].heatmap_slots, 0
    while slots.acquire(blocking=False):
        taken += 1
    assert 0 < taken < app.extensions["darkroom"].services.settings.web_threads
    assert "Retry-After" in ann("GET", f"/{job}/items/dog/heatmap", 503).headers
