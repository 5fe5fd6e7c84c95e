"""The Compose file, run: `./darkroom test --containers`.

Builds the images, starts the stack, classifies, trains, kills each container in the middle of a job, scales workers,
and replaces all containers while a job runs. Needs podman with podman-compose, or Docker; no other stack of the name
`darkroom` may exist. What the volumes hold is deleted.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import yaml

from cli.stack.embedded_redis import free_port
from tests.conftest import ROOT, wait_until
from tests.deployment.stack import PATIENCE_S, Stack, try_all
from tests.faults.kit import PatientClient

#: The label of all containers of the stack.
PROJECT = "com.docker.compose.project=darkroom"


@dataclass(frozen=True)
class Compose(Stack):
    """The containers of the Compose file. `compose` is the command that reads it."""

    compose: Sequence[str]

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

    def kill(self, service: str) -> None:
        """Kill a container, and start it again unless the engine does."""
        self.run("kill", "--signal", "KILL", self.container(service))
        self.run("start", self.container(service))


def scale(stack: Compose, count: int) -> None:
    """Run `count` containers for big jobs, and expect a job and as many workers."""
    stack.up("--scale", f"classify-bulk={count}", "classify-bulk")
    wait_until(lambda: bulk_workers(stack) >= 2 * count, "the new workers are seen", PATIENCE_S)
    stack.check(stack.submit())


def bulk_workers(stack: Compose) -> int:
    """Return the number of live worker processes for big jobs."""
    queues = {queue["name"]: queue for queue in stack.http.get("/v1/queues").json()["data"]}
    return int(queues["bulk"]["workers"])


def replace_all(stack: Compose) -> None:
    """Replace each container of Darkroom's own while a job runs, as an upgrade does."""
    job_id = stack.submit()
    for service in [name for name in services() if name != "redis"]:
        stack.up("--force-recreate", "--no-deps", service)
    wait_until(stack.is_ready, "the service is ready again", PATIENCE_S)
    stack.check(job_id)


def remove(stack: Compose) -> None:
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
def running_stack() -> Iterator[Compose]:
    """Start the stack, and remove it with its volumes at the end."""
    compose, port = compose_command(), free_port()
    os.environ |= {"DARKROOM_PORT": str(port), "DARKROOM_CIFAR10": "/data/cifar10.npz"}
    with PatientClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
        stack = Compose(engine_name(), http, compose)
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
        run_all()
    print(json.dumps({name: int(image_field(name, "Size")) for name in images()}))


def upgrade(previous: str) -> None:
    """Start the stack with an older image, and replace every container with the present ones while a job runs."""
    tag = ExitStack()
    tag.enter_context(tagged_as(previous))
    with tag, running_stack() as stack:
        stack.check(stack.submit())
        tag.close()
        replace_all(stack)
        stack.check(stack.submit())
        print(f"upgraded from {previous} while a job ran", flush=True)


def run_all() -> None:
    """Classify, train, kill, scale and replace."""
    with running_stack() as stack:
        try_all(stack)
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
    return sorted({each["image"] for each in services().values() if each["image"].startswith("darkroom")})


def services() -> dict[str, dict[str, Any]]:
    """Return the services of the Compose file that start without a profile."""
    every = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return {name: each for name, each in every.items() if "profiles" not in each}


if __name__ == "__main__":
    main()
