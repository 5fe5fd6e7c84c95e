"""What must be true of a job when it is over, whatever was done to the service meanwhile."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import redis
from PIL import Image

from shared.domain.card import CARD_FILE, OPENVINO_FILE
from shared.redis import keys
from tests.conftest import wait_until
from tests.faults.kit import Arena
from tests.integration.helpers import outcome, results, traces
from worker.serving import openvino_runtime

#: What separates the scores of one picture in two runs: batches of other sizes are rounded otherwise.
TOLERANCE = 1e-4

#: Each picture's probabilities, by file name and label.
Expected = dict[str, dict[str, float]]


def expected_of(model: Path, contents: Mapping[str, bytes]) -> Expected:
    """What the network in the folder `model` says of each picture, by file name: label → probability.

    It is asked here, without the service: an undisturbed job would cost more.
    """
    images = np.stack([np.asarray(Image.open(io.BytesIO(content)).convert("RGB")) for content in contents.values()])
    labels = json.loads((model / CARD_FILE).read_text())["labels"]
    rows = openvino_runtime.load(model / OPENVINO_FILE, 1)(images).tolist()
    return {name: dict(zip(labels, row, strict=True)) for name, row in zip(contents, rows, strict=True)}


def check(arena: Arena, job_id: str, expected: Expected, failed: Mapping[str, str] | None = None) -> None:
    """The job ended as if nothing had happened, and once it is deleted nothing is left of it; see `check_results`."""
    check_results(arena, job_id, expected, failed)
    check_deleted(arena, job_id)


def check_results(arena: Arena, job_id: str, expected: Expected, failed: Mapping[str, str] | None = None) -> None:
    """The job is over; the pictures in `failed` ended with that code, all others as `expected`, nobody twice."""
    failed = failed or {}
    job, good = arena.ended(job_id), len(expected) - len(failed)
    assert job["state"] == "succeeded", job
    assert job["counts"] == {"total": len(expected), "succeeded": good, "failed": len(failed), "cancelled": 0}
    items = results(arena.http, job_id, limit=1000)
    assert sorted(item["filename"] for item in items) == sorted(expected)
    assert {item["filename"]: outcome(item) for item in items if item["state"] != "succeeded"} == failed
    for item in items:
        if item["filename"] not in failed:
            check_answer(item, expected[item["filename"]])


def check_answer(item: dict, expected: dict[str, float]) -> None:
    """The item's predictions are the best of what is expected."""
    found = {each["label"]: each["score"] for each in item["predictions"]}
    assert found == pytest.approx({label: expected[label] for label in found}, abs=TOLERANCE), item
    assert min(found.values()) >= sorted(expected.values())[-len(found)] - TOLERANCE, item


def check_deleted(arena: Arena, job_id: str) -> None:
    """The job can be deleted, and nothing is left of it."""
    assert arena.http.delete(f"/v1/jobs/{job_id}").status_code in (204, 404), "404: the first answer was lost"
    wait_until(lambda: not left(arena, job_id), f"nothing is left of {job_id}")


def left(arena: Arena, job_id: str) -> dict[str, list[str]]:
    """The traces of a job, and its chunks and leases, which nobody should hold."""
    try:
        return _left(arena, job_id)
    except redis.RedisError as error:
        return {"unknown": [str(error)]}


def _left(arena: Arena, job_id: str) -> dict[str, list[str]]:
    found = {name: sorted(each for each in names if job_id in each) for name, names in traces(arena.service).items()}
    with arena.redis() as client:
        chunks = {key.rpartition(":")[2]: client.hget(key, "job") for key in client.scan_iter("darkroom:chunk:*")}
        found["chunks"] = [chunk for chunk, job in chunks.items() if job == job_id]
        found["leases"] = [chunk for chunk in client.zrange(keys.LEASES, 0, -1) if chunks.get(chunk, job_id) == job_id]
    return {name: names for name, names in found.items() if names}
