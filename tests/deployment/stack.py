"""A service in containers, and what it must do there: `containers.py` and `pods.py` start one."""

from __future__ import annotations

import io
import subprocess
import tempfile
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from shared.models.registry import Registry
from tests.conftest import wait_until
from tests.faults.checks import Expected, check_answer
from tests.faults.kit import archive, pictures
from tests.integration.helpers import finished, results
from worker.evaluation.evaluate import predict_served
from worker.hardware import cores
from worker.serving.models import ModelCache

#: Pictures of a job in whose middle a container is killed, and seconds for a job or a start.
PICTURES, PATIENCE_S = 1_000, 300
#: The services whose containers are killed.
KILLED = ("classify-bulk", "classify-interactive", "web", "reconcile", "deliver", "train", "redis")
#: Images of a training of one epoch.
TRAINED = 400


@dataclass(frozen=True)
class Stack(ABC):
    """Containers with a whole service. `engine` is the command to control them."""

    engine: str
    http: httpx.Client

    def run(self, *words: str) -> str:
        """Run a subcommand of the engine, and return what it prints."""
        return subprocess.run([self.engine, *words], check=True, capture_output=True, text=True).stdout

    @abstractmethod
    def container(self, service: str) -> str:
        """Return the id or the name of a service's first container."""

    @abstractmethod
    def kill(self, service: str) -> None:
        """Kill a container, and return when it runs again or will."""

    def is_ready(self) -> bool:
        """Return whether the service is ready for work."""
        try:
            return httpx.get(f"{self.http.base_url}/readyz", timeout=5).is_success
        except httpx.TransportError:
            return False

    def submit(self) -> str:
        """Queue a job of PICTURES pictures and return its id."""
        answer = self.http.post("/v1/jobs", content=archive(PICTURES), headers={"Content-Type": "application/zip"})
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        return str(answer.json()["id"])

    def job(self, job_id: str) -> dict:
        """Return a job's record."""
        return dict(self.http.get(f"/v1/jobs/{job_id}").json())

    def check(self, job_id: str) -> None:
        """Wait for the end of a job, and expect the right answer of its version for each picture, once."""
        job = finished(self.http, job_id)
        assert job["counts"]["succeeded"] == PICTURES
        expected = expected_answers(job["model"])
        found = results(self.http, job_id, limit=1000)
        assert sorted(item["filename"] for item in found) == sorted(expected)
        for item in found:
            check_answer(item, expected[item["filename"]])


def try_all(stack: Stack) -> None:
    """Classify, train, and kill each container in the middle of a job. Print each step."""
    stack.check(stack.submit())
    print("classified", flush=True)
    train(stack)
    print("trained", flush=True)
    for service in KILLED:
        kill_in_a_job(stack, service)
        print(f"{service} was killed in the middle of a job", flush=True)


def kill_in_a_job(stack: Stack, service: str) -> None:
    """Kill a container while a job runs."""
    job_id = stack.submit()
    wait_until(lambda: stack.job(job_id)["counts"]["succeeded"], "the first pictures are classified", PATIENCE_S)
    stack.kill(service)
    stack.check(job_id)


def train(stack: Stack) -> None:
    """Train preset `seed` for one epoch on a few pictures in the form of CIFAR-10."""
    random, labels = np.random.default_rng(0), np.arange(TRAINED) % 10
    images = random.integers(0, 256, (TRAINED, 32, 32, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cifar10.npz"
        np.savez(file, x_train=images, y_train=labels, x_test=images[:100], y_test=labels[:100])
        stack.run("cp", str(file), f"{stack.container('train')}:/data/cifar10.npz")
    answer = stack.http.post("/v1/jobs", json={"kind": "training", "params": {"preset": "seed", "epochs": 1}})
    job_id = answer.json()["id"]
    wait_until(lambda: stack.job(job_id)["done"], "the training ends", PATIENCE_S)
    assert stack.job(job_id)["state"] == "succeeded", stack.job(job_id)


@cache
def expected_answers(version: str) -> Expected:
    """Return what a shipped version answers, with all its views, for the pictures of a job."""
    model = ModelCache(Registry(), cores()).get(version)
    images = np.stack([np.asarray(Image.open(io.BytesIO(content))) for content in pictures(PICTURES).values()])
    rows = predict_served(model.forward, images).tolist()
    return {
        name: dict(zip(model.card.labels, row, strict=True)) for name, row in zip(pictures(PICTURES), rows, strict=True)
    }
