"""What must be true of a finished job, whatever faults the service had meanwhile."""

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

#: Difference of one picture's scores in two runs: rounding depends on the batch size.
TOLERANCE = 1e-4

#: Each picture's probabilities, by file name and label.
Expected = dict[str, dict[str, float]]


def expected_of(model: Path, contents: Mapping[str, bytes]) -> Expected:
    """Return the predictions of the network in the folder `model`: file name → label → probability.

    Run it here, without the service, which takes less time than an undisturbed job.
    """
    images = np.stack([np.asarray(Image.open(io.BytesIO(content)).convert("RGB")) for content in contents.values()])
    labels = json.loads((model / CARD_FILE).read_text())["labels"]
    rows = openvino_runtime.load(model / OPENVINO_FILE, 1)(images).tolist()
    return {name: dict(zip(labels, row, strict=True)) for name, row in zip(contents, rows, strict=True)}


def check(arena: Arena, job_id: str, expected: Expected, failed: Mapping[str, str] | None = None) -> None:
    """Assert that the job has the expected results, and that deleting it leaves nothing behind."""
    check_results(arena, job_id, expected, failed)
    check_deleted(arena, job_id)


def check_results(arena: Arena, job_id: str, expected: Expected, failed: Mapping[str, str] | None = None) -> None:
    """Wait for the job; assert the codes of the pictures in `failed` and the predictions of all others, each once."""
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
    """Assert that the item's predictions are the best expected ones."""
    found = {each["label"]: each["score"] for each in item["predictions"]}
    assert found == pytest.approx({label: expected[label] for label in found}, abs=TOLERANCE), item
    assert min(found.values()) >= sorted(expected.values())[-len(found)] - TOLERANCE, item


def check_deleted(arena: Arena, job_id: str) -> None:
    """Delete the job; assert that nothing is left of it."""
    assert arena.http.delete(f"/v1/jobs/{job_id}").status_code in (204, 404), "404: the first answer was lost"
    wait_until(lambda: not left(arena, job_id), f"nothing is left of {job_id}")


def left(arena: Arena, job_id: str) -> dict[str, list[str]]:
    """Return what is left of a job, and its chunks and leases."""
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
