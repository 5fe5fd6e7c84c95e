"""The Compose file, run: `./darkroom test --containers`.

Builds the images, starts the stack, classifies, trains, kills each container in the middle of a job, scales workers,
and replaces all containers while a job runs. Needs podman with podman-compose, or Docker; no other stack of the name
`darkroom` may exist. What the volumes hold is deleted.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import yaml
from PIL import Image

from cli.stack.embedded_redis import free_port
from shared.models.registry import Registry
from tests.conftest import ROOT, wait_until
from tests.faults.checks import Expected, check_answer
from tests.faults.kit import PatientClient, archive, pictures
from tests.integration.helpers import finished, results
from worker.evaluation.evaluate import predict_served
from worker.hardware import cores
from worker.serving.models import ModelCache

#: Pictures of a job in whose middle a container is killed, and seconds for a job or a start.
PICTURES, PATIENCE_S = 1_000, 300
#: The services whose containers are killed.
KILLED = ("classify-bulk", "classify-interactive", "web", "reconcile", "deliver", "train", "redis")
#: The label of all containers of the stack.
PROJECT = "com.docker.compose.project=darkroom"
#: Images of a training of one epoch.
TRAINED = 400


@dataclass(frozen=True)
class Stack:
    """The containers of the Compose file. `compose` and `engine` are the commands to control them."""

    engine: str
    compose: Sequence[str]
    http: httpx.Client
    expected: Expected

    def run(self, *words: str) -> str:
        """Run a subcommand of the engine, and return what it prints."""
        return subprocess.run([self.engine, *words], check=True, capture_output=True, text=True).stdout

    def up(self, *words: str) -> None:
        """Start or change services, without building."""
        subprocess.run([*self.compose, "up", "--detach", "--no-build", *words], cwd=ROOT, check=True)

    def container(self, service: str) -> str:
        """Return the id of a service's first container."""
        return self.run(
            "ps",
            "--all",
            "--quiet",
            "--filter",
            f"label=com.docker.compose.service={service}",
            "--filter",
            f"label={PROJECT}",
        ).split()[0]

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
        """Wait for the end of a job, and expect the right answer for each picture, once."""
        assert finished(self.http, job_id)["counts"]["succeeded"] == PICTURES
        found = results(self.http, job_id, limit=1000)
        assert sorted(item["filename"] for item in found) == sorted(self.expected)
        for item in found:
            check_answer(item, self.expected[item["filename"]])


def kill_in_a_job(stack: Stack, service: str) -> None:
    """Kill a container while a job runs, and start it again unless its engine does."""
    job_id = stack.submit()
    wait_until(lambda: stack.job(job_id)["counts"]["succeeded"], "the first pictures are classified", PATIENCE_S)
    stack.run("kill", "--signal", "KILL", stack.container(service))
    stack.run("start", stack.container(service))
    stack.check(job_id)


def train(stack: Stack, folder: Path) -> None:
    """Train preset `seed` for one epoch on a few pictures in the form of CIFAR-10."""
    random, labels = np.random.default_rng(0), np.arange(TRAINED) % 10
    images = random.integers(0, 256, (TRAINED, 32, 32, 3), dtype=np.uint8)
    file = folder / "cifar10.npz"
    np.savez(file, x_train=images, y_train=labels, x_test=images[:100], y_test=labels[:100])
    stack.run("cp", str(file), f"{stack.container('train')}:/data/cifar10.npz")
    answer = stack.http.post("/v1/jobs", json={"kind": "training", "params": {"preset": "seed", "epochs": 1}})
    job_id = answer.json()["id"]
    wait_until(lambda: stack.job(job_id)["done"], "the training ends", PATIENCE_S)
    assert stack.job(job_id)["state"] == "succeeded", stack.job(job_id)


def scale(stack: Stack, count: int) -> None:
    """Run `count` containers for big jobs, and expect a job and as many workers."""
    stack.up("--scale", f"classify-bulk={count}", "classify-bulk")
    wait_until(lambda: bulk_workers(stack) >= 2 * count, "the new workers are seen", PATIENCE_S)
    stack.check(stack.submit())


def bulk_workers(stack: Stack) -> int:
    """Return the number of live worker processes for big jobs."""
    queues = {queue["name"]: queue for queue in stack.http.get("/v1/queues").json()["data"]}
    return int(queues["bulk"]["workers"])


def replace_all(stack: Stack) -> None:
    """Replace each container of Darkroom's own while a job runs, as an upgrade does."""
    job_id = stack.submit()
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for service in [name for name, each in services.items() if name != "redis" and "profiles" not in each]:
        stack.up("--force-recreate", "--no-deps", service)
    wait_until(stack.is_ready, "the service is ready again", PATIENCE_S)
    stack.check(job_id)


def expected_answers() -> Expected:
    """Return what the shipped version answers, with all its views, for the pictures of a job."""
    registry = Registry()
    model = ModelCache(registry, cores()).get(registry.champion().version)
    images = np.stack([np.asarray(Image.open(io.BytesIO(content))) for content in pictures(PICTURES).values()])
    rows = predict_served(model.forward, images).tolist()
    return {
        name: dict(zip(model.card.labels, row, strict=True)) for name, row in zip(pictures(PICTURES), rows, strict=True)
    }


def remove(stack: Stack) -> None:
    """Remove the stack. podman-compose leaves the containers that were scaled, and then what they need."""
    subprocess.run([*stack.compose, "down"], cwd=ROOT, check=False)
    for container in reversed(stack.run("ps", "--all", "--quiet", "--filter", f"label={PROJECT}").split()):
        subprocess.run([stack.engine, "rm", "--force", container], check=False)
    subprocess.run([*stack.compose, "down", "--volumes"], cwd=ROOT, check=False)


def engine_name() -> str:
    """Return the command of the engine."""
    engine = "podman" if shutil.which("podman-compose") else "docker"
    if shutil.which(engine) is None:
        sys.exit("Neither podman-compose nor Docker is installed, so the containers cannot be run.")
    return engine


def compose_command() -> list[str]:
    """Return the command that reads the Compose file."""
    return ["podman-compose"] if engine_name() == "podman" else ["docker", "compose"]


@contextmanager
def running_stack() -> Iterator[Stack]:
    """Start the stack, and remove it with its volumes at the end."""
    compose, port = compose_command(), free_port()
    os.environ |= {"DARKROOM_PORT": str(port), "DARKROOM_CIFAR10": "/data/cifar10.npz"}
    with PatientClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
        stack = Stack(engine_name(), compose, http, expected_answers())
        began = time.monotonic()
        try:
            stack.up()
            wait_until(stack.is_ready, "the service is ready", PATIENCE_S)
            print(f"ready after {time.monotonic() - began:.0f} s", flush=True)
            yield stack
        finally:
            remove(stack)


@contextmanager
def tagged_as(previous: str) -> Iterator[None]:
    """Let the Compose file start an older image while the block runs."""
    ids = {name: image_field(name, "Id") for name in images()}
    for name in ids:
        subprocess.run([engine_name(), "tag", previous, name], check=True)
    try:
        yield
    finally:
        for name, image in ids.items():
            subprocess.run([engine_name(), "tag", image, name], check=True)


def main() -> None:
    """Run all steps, and print each."""
    parser = argparse.ArgumentParser(prog="darkroom test --containers", description=__doc__)
    parser.add_argument("--no-build", action="store_true", help="the images are there already")
    parser.add_argument("--previous", metavar="IMAGE", help="only upgrade from this image while a job runs")
    options = parser.parse_args()
    if not options.no_build:
        subprocess.run([*compose_command(), "build"], cwd=ROOT, check=True)
    if options.previous:
        upgrade(options.previous)
    else:
        try_all()
    print(json.dumps({name: int(image_field(name, "Size")) for name in images()}))


def upgrade(previous: str) -> None:
    """Start the stack with an older image, and replace every container with the present ones while a job runs."""
    tag = ExitStack()
    tag.enter_context(tagged_as(previous))
    with tag, running_stack() as stack:
        stack.check(stack.submit())
        tag.close()
        replace_all(stack)
        print(f"upgraded from {previous} while a job ran", flush=True)


def try_all() -> None:
    """Classify, train, kill, scale and replace."""
    with running_stack() as stack, tempfile.TemporaryDirectory() as folder:
        stack.check(stack.submit())
        print("classified", flush=True)
        train(stack, Path(folder))
        print("trained", flush=True)
        for service in KILLED:
            kill_in_a_job(stack, service)
            print(f"{service} was killed in the middle of a job", flush=True)
        scale(stack, 3)
        print("scaled to 3", flush=True)
        replace_all(stack)
        print("every container was replaced while a job ran", flush=True)


def image_field(name: str, field: str) -> str:
    """Return a field of what the engine says about an image."""
    words = [engine_name(), "image", "inspect", name, "--format", f"{{{{.{field}}}}}"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def images() -> list[str]:
    """Return the names of Darkroom's images."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"].values()
    return sorted({each["image"] for each in services if each["image"].startswith("darkroom")})


if __name__ == "__main__":
    main()
