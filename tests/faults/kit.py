"""A service to break, and many real pictures for it."""

from __future__ import annotations

import contextlib
import io
import signal
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import httpx
import numpy as np
import psutil
import redis
from PIL import Image

from cli.stack import embedded_redis
from cli.stack.embedded_redis import redis_server_path
from shared.redis import keys
from shared.services import Services
from shared.settings import Settings
from tests.conftest import NO_TLS, START_STOP_S, Service, answers, running_service, wait_until
from tests.fixtures import make
from tests.integration.helpers import redis_of

MIB = 1024 * 1024
#: Pictures of one job: four chunks, at least 4.6 s of work for two workers, so that a fault can hit the middle.
PICTURES = 1000
#: Bytes of the small disk beyond the reserve: for Redis's file and the pictures.
SPARE = 64 * MIB
#: The Celery app whose workers are that slow.
SLOW = "tests.faults.slow"
#: Seconds in which a job ends, whatever the faults.
ENDS_S = 900


@cache
def pictures(count: int = PICTURES) -> dict[str, bytes]:
    """Return `count` different files by name: the 40 real pictures, moved by up to three pixels and mirrored."""
    sources = sorted(make.CIFAR10.glob("*.png"))
    padded = [np.pad(np.asarray(Image.open(path)), ((3, 3), (3, 3), (0, 0)), mode="reflect") for path in sources]
    return {f"{n:05}.png": make.encode(varied(padded[n % 40], n // 40), "PNG") for n in range(count)}


def varied(padded: np.ndarray, which: int) -> np.ndarray:
    """Return one of 98 variations of a picture that has three more pixels at each side."""
    down, right = divmod(which // 2, 7)
    picture = padded[down : down + 32, right : right + 32]
    return np.ascontiguousarray(picture[:, ::-1] if which % 2 else picture)


@cache
def archive(count: int = PICTURES) -> bytes:
    """Return the pictures as a zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file:
        for name, content in pictures(count).items():
            file.writestr(name, content)
    return buffer.getvalue()


class PatientClient(httpx.Client):
    """A client that retries after a connection error, a 429 or a 503."""

    def request(self, method: str, url: str, **kwargs: object) -> httpx.Response:
        def answer() -> httpx.Response | None:
            try:
                got = super(PatientClient, self).request(method, url, **kwargs)
            except httpx.TransportError:
                return None
            return None if got.status_code in (429, 503) else got

        return wait_until(answer, f"{method} {url} is answered", START_STOP_S, every=0.2)


@contextmanager
def arena_in(data_dir: Path, model: Path, app: str = SLOW, **settings: str) -> Iterator[Arena]:
    """Run a service whose champion is the version in the folder `model`.

    Its Redis loses nothing when it is killed, see docs/guarantees.md. Two of its workers serve big jobs: if one is
    lost, there is another.
    """
    with running_service(
        data_dir, app=app, **{"redis_fsync": "always", "classify_workers": "2", **settings}
    ) as service:
        parts = Services.build(Settings(redis_url="redis://127.0.0.1:1/0", data_dir=data_dir))
        version = parts.registry.publish(model).version
        with entered(service) as arena:
            arena.promote(version)
            yield arena


@contextmanager
def entered(service: Service) -> Iterator[Arena]:
    """Return the arena of a running service."""
    with PatientClient(base_url=service.url, timeout=60, trust_env=False, verify=NO_TLS) as http:
        yield Arena(service, http)


class Arena:
    """A running service and a client that retries."""

    def __init__(self, service: Service, http: PatientClient) -> None:
        self.service, self.http = service, http

    def promote(self, version: str) -> None:
        """Make a version the champion."""
        path, condition = "/v1/models/aliases/champion", {"If-Match": "*"}
        answer = self.http.put(path, json={"version": version}, headers=condition)
        assert answer.status_code == 200, answer.text

    def submit(self, content: bytes | None = None) -> str:
        """Post a zip, by default of all pictures; return the job's id."""
        answer = self.http.post("/v1/jobs", content=content or archive(), headers={"Content-Type": "application/zip"})
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    def job(self, job_id: str) -> dict:
        answer = self.http.get(f"/v1/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ended(self, job_id: str) -> dict:
        return wait_until(lambda: (job := self.job(job_id))["done"] and job, f"{job_id} is over", ENDS_S, every=0.3)

    def begun(self, job_id: str) -> None:
        """Wait for the job's first finished chunk; assert that the job is still running."""
        job = wait_until(
            lambda: (job := self.job(job_id))["counts"]["succeeded"] and job, f"{job_id} is begun", ENDS_S, every=0.1
        )
        assert not job["done"], "the job was over before anything could happen to it"

    def redis(self) -> redis.Redis:
        """Return a Redis client of the job store."""
        return redis_of(self.service)

    def broker(self) -> redis.Redis:
        """Return a Redis client of the broker."""
        return redis.Redis.from_url(self.broker_url(), decode_responses=True)

    def broker_url(self) -> str:
        """Return the broker's URL."""
        with self.redis() as client:
            address = client.connection_pool.connection_kwargs
        return f"redis://:{address['password']}@127.0.0.1:{address['port']}/1"

    def counter(self, name: str) -> int:
        """Return the value of a counter in the job store."""
        with self.redis() as client:
            return int(client.hget(keys.COUNTERS, name) or 0)

    def process(self, name: str) -> psutil.Process:
        """Return the main process of a program; wait while the supervisor restarts it."""
        return self.family(name)[0]

    def family(self, name: str) -> list[psutil.Process]:
        """Return that process and its descendants."""
        return wait_until(lambda: self._family(name), f"{name} runs")

    def _family(self, name: str) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            supervisors = psutil.Process(self.service.process.pid).children()
            programs = [process for one in supervisors for process in one.children()]
            for program in programs:
                if MARKS[name] in " ".join(words(program)):
                    return [program, *program.children(recursive=True)]
        return []

    def own_bytes(self) -> dict[str, int]:
        """Return the unshared memory in bytes of each program's processes together."""
        family = psutil.Process(self.service.process.pid).children(recursive=True)
        programs = {name: [one for one in family if mark in " ".join(words(one))] for name, mark in MARKS.items()}
        return {name: sum(one.memory_full_info().uss for one in found) for name, found in programs.items()}

    def worker_in_work(self) -> tuple[psutil.Process, str]:
        """Wait for a process that holds a chunk; return it and the chunk's id."""
        return wait_until(self._worker_in_work, "a worker holds a chunk", every=0.05)

    def _worker_in_work(self) -> tuple[psutil.Process, str] | None:
        with contextlib.suppress(redis.RedisError, psutil.NoSuchProcess), self.redis() as client:
            for chunk in client.zrange(keys.LEASES, 0, -1):
                name = client.hget(f"darkroom:chunk:{chunk}", "worker")
                if name and psutil.pid_exists(pid := int(name.split(":")[1])):
                    return psutil.Process(pid), chunk
        return None

    def holds(self, chunk: str) -> bool:
        """Tell whether a worker holds this chunk."""
        with self.redis() as client:
            return client.zscore(keys.LEASES, chunk) is not None


class OwnRedis:
    """A Redis that a test stops and restarts on the same port and files."""

    def __init__(self, data_dir: Path) -> None:
        server = embedded_redis.prepare(Settings(data_dir=data_dir))
        self.url, self._server = server.url, server

    def start(self) -> None:
        self._process = subprocess.Popen(self._server.command, cwd=self._server.folder, stdout=subprocess.DEVNULL)
        wait_until(lambda: answers(self.url), "Redis answers")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Keep Redis from responding while the block runs."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


def words(process: psutil.Process) -> list[str]:
    """Return the command line of a process, empty if it has just ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


#: A part of each program's command line that no other program has.
MARKS = {
    "web": "gunicorn",
    "classify-interactive": "classify-interactive@",
    "classify-bulk": "classify-bulk@",
    "train": "train@",
    "reconcile": "worker.reconcile",
    "redis": Path(redis_server_path()).name,
}
