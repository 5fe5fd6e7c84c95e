"""Machines that share a Redis and an S3: each has a disk, processes and a network of its own, which can be cut off."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import redis

from cli.stack import programs
from cli.stack.embedded_redis import free_port, redis_server_path
from shared.domain.entities import Queue
from shared.redis import keys
from shared.services import Services
from shared.settings import Settings
from tests.conftest import PREFIX, ROOT, START_STOP_S, answers, wait_until
from tests.faults.kit import MIB
from tests.faults.proxy import Proxy, running_proxy
from tests.faults.test_clock import fake_clock
from tests.programs import small_disk

BUCKET = "pictures"
#: Bytes of the disk of a machine.
DISK_BYTES = 512 * MIB
#: The shell script that starts a program again whenever it ends, as supervisor and Compose do.
KEPT = 'while :; do "$@"; sleep 1; done'


@dataclass
class Machine:
    """Processes with a data folder and a network of their own."""

    name: str
    folder: Path
    commands: list[list[str]]
    redis: Proxy
    storage: Proxy
    settings: dict[str, str] = field(default_factory=dict)
    processes: list[psutil.Process] = field(default_factory=list)

    def start(self) -> None:
        self.step_clock(0)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        environment |= storage_environment(self.storage.port) | {
            "DARKROOM_DATA_DIR": str(self.folder),
            "DARKROOM_REDIS_URL": f"redis://127.0.0.1:{self.redis.port}/0",
            "DARKROOM_STORAGE_URL": f"s3://{BUCKET}/x",
            **fake_clock(FAKETIME_TIMESTAMP_FILE=str(self.clock), FAKETIME_CACHE_DURATION="1"),
            **self.settings,
        }
        for python, flag, *words in self.commands:
            command = ["sh", "-c", KEPT, "sh", python, flag, "tests.faults.timed", *words]
            with (self.folder.parent / f"{self.name}.log").open("ab") as log:
                process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
            self.processes.append(psutil.Process(process.pid))

    @property
    def clock(self) -> Path:
        """Return the file with the offset of the machine's clock."""
        return self.folder.parent / f"{self.name}.clock"

    def step_clock(self, ahead_s: int) -> None:
        """Set the machine's clock ahead of the true time, or back."""
        new = self.clock.with_suffix(".new")
        new.write_text(f"{ahead_s:+}\n")
        new.replace(self.clock)

    def kill(self) -> None:
        """Kill every process at once, as a power cut does."""
        for process in self.processes:
            with suppress(psutil.NoSuchProcess):
                for one in [process, *process.children(recursive=True)]:
                    with suppress(psutil.NoSuchProcess):
                        one.kill()
                process.wait()
        self.processes.clear()


@dataclass
class Site:
    """All machines, their Redis and their S3."""

    front: Machine
    workers: list[Machine]
    redis_port: int
    redis_folder: Path
    storage: psutil.Process
    storage_port: int
    url: str
    redis: psutil.Process | None = None

    def start_redis(self) -> None:
        words = [redis_server_path(), "--port", str(self.redis_port), "--bind", "127.0.0.1", "--appendonly", "yes"]
        words += ["--dir", str(self.redis_folder), "--save", "", "--appendfsync", "always"]
        self.redis = psutil.Process(subprocess.Popen(words, stdout=subprocess.DEVNULL).pid)
        wait_until(lambda: answers(f"redis://127.0.0.1:{self.redis_port}/0"), "Redis answers")

    def kill_redis(self) -> None:
        assert self.redis is not None
        self.redis.kill()
        self.redis.wait()

    def done(self) -> int:
        """Return the number of items that have ended."""
        with redis.Redis(port=self.redis_port, decode_responses=True) as client:
            counters = client.hgetall(keys.COUNTERS)
        return sum(int(count) for name, count in counters.items() if name.startswith("items:"))


def storage_environment(port: int) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
    }


def s3(port: int):
    import boto3  # takes half a second, and few processes need it

    names = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    return boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", **names)


@contextmanager
def site_in(folder: Path, model: Path) -> Iterator[Site]:
    """Run three machines: one with web, reconciler and sender, and two with a worker each."""
    with ExitStack() as stack:
        storage, storage_port = stack.enter_context(running_s3())
        redis_port, port = free_port(), free_port()
        (folder / "redis").mkdir()

        def machine(name: str, commands: list[list[str]], **settings: str) -> Machine:
            disk = folder / name
            disk.mkdir()
            stack.enter_context(small_disk(disk, DISK_BYTES))
            proxies = [stack.enter_context(running_proxy(target)) for target in (redis_port, storage_port)]
            made = Machine(name, disk, commands, proxies[0], proxies[1], settings)
            stack.callback(made.kill)
            return made

        settings = Settings(port=port, web_processes=2)
        front = machine(
            "front", [programs.web(settings), programs.reconciler(), programs.webhook_sender()], DARKROOM_PORT=str(port)
        )
        workers = [machine(name, [worker_command(name)]) for name in ("one", "two")]
        site = Site(front, workers, redis_port, folder / "redis", storage, storage_port, f"http://127.0.0.1:{port}")
        site.start_redis()
        stack.callback(site.kill_redis)
        for each in (front, *workers):
            each.start()
        promote(site, folder, model)
        yield site


def worker_command(name: str) -> list[str]:
    words = programs.worker(name, [Queue.INTERACTIVE, Queue.BULK], 1)
    return ["tests.faults.slow" if word == "worker.runtime.app" else word for word in words]


def promote(site: Site, folder: Path, model: Path) -> None:
    """Publish the model for all machines and make it the champion."""
    os.environ |= storage_environment(site.storage_port)
    own = Settings(redis_url=f"redis://127.0.0.1:{site.redis_port}/0", storage_url=f"s3://{BUCKET}/x", data_dir=folder)
    services = Services.build(own)
    services.registry.promote(services.registry.publish(model).version)
    services.close()


@contextmanager
def running_s3() -> Iterator[tuple[psutil.Process, int]]:
    """Run an S3 service with an empty bucket."""
    port = free_port()
    words = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: is_listening(port), "S3 answers", START_STOP_S)
        s3(port).create_bucket(Bucket=BUCKET)
        yield psutil.Process(process.pid), port
    finally:
        process.kill()
        process.wait()


def is_listening(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False
