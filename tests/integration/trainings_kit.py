"""Trainings in the running service: start one, wait for it, and find its process."""

from __future__ import annotations

from typing import Any

import httpx
import psutil

from tests.conftest import Service, wait_until

#: Seconds for a short training, mostly TensorFlow's start.
TRAINING_S = 900
#: Trains for hours unless cancelled.
ENDLESS = {"preset": "seed", "epochs": 1000, "batch_size": 8}


def train(http: httpx.Client, **params: Any) -> str:
    answer = http.post("/v1/jobs", json={"kind": "training", "params": params})
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def status(http: httpx.Client, job_id: str) -> dict[str, Any]:
    return http.get(f"/v1/jobs/{job_id}").json()


def later(http: httpx.Client, job_id: str) -> dict[str, Any]:
    """Return the job once it has changed, or after a while."""
    return http.get(f"/v1/jobs/{job_id}", params={"wait": 5}).json()


def ended(http: httpx.Client, job_id: str) -> dict[str, Any]:
    """Wait for the job's end; return it."""
    return wait_until(lambda: (job := later(http, job_id))["done"] and job, "the training is over", TRAINING_S)


def rows(http: httpx.Client, job_id: str, after: int = 0) -> list[dict[str, Any]]:
    answer = http.get(f"/v1/jobs/{job_id}/metrics", params={"after": after})
    assert answer.status_code == 200, answer.text
    assert answer.json()["next"] == after + len(answer.json()["data"])
    return answer.json()["data"]


def wait_for_rows(http: httpx.Client, job_id: str) -> None:
    wait_until(lambda: rows(http, job_id), "the first row is there", TRAINING_S)


def trainers(service: Service, job_id: str) -> list[psutil.Process]:
    """Return the processes of a training."""
    found = []
    for process in psutil.Process(service.process.pid).children(recursive=True):
        try:
            if job_id in process.cmdline():
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found
