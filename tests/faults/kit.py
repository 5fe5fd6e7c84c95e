"""A service to break: many real pictures, ways to hurt it, and what must be true when it is over."""

from __future__ import annotations

import contextlib
import io
import random
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
import redis
from PIL import Image

from cli.redis_server import program
from shared.jobs import keys
from shared.services import Services
from shared.settings import Settings
from tests.conftest import Service, running_service, wait_until
from tests.fixtures import make
from tests.integration.helpers import put, redis_of, results, traces

#: Pictures of one job: some seconds' work with a small model, so that something can happen in the middle of it.
PICTURES = 3000
#: Seconds in which a job of so many must end, whatever was done to the service.
ENDS_S = 240
#: Seconds that a worker may be stopped to lose its lease for certain, see `shared.jobs.chunks.LEASE_S`.
STALL_S = 14
#: What separates the scores of one picture in two runs: batches of other sizes are rounded otherwise.
TOLERANCE = 1e-4

Answer = list[tuple[str, float]]


@cache
def pictures(count: int = PICTURES) -> dict[str, bytes]:
    """So many different files by name: the 40 real pictures, each moved by up to three pixels, and mirrored."""
    sources = sorted(make.CIFAR10.glob("*.png"))
    padded = [np.pad(np.asarray(Image.open(path)), ((3, 3), (3, 3), (0, 0)), mode="reflect") for path in sources]
    return {f"{n:05}.png": make.encode(varied(padded[n % 40], n // 40), "PNG") for n in range(count)}


def varied(padded: np.ndarray, which: int) -> np.ndarray:
    """One of 98 variations of a picture that has three more pixels at each side."""
    down, right = divmod(which // 2, 7)
    picture = padded[down : down + 32, right : right + 32]
    return np.ascontiguousarray(picture[:, ::-1] if which % 2 else picture)


@cache
def archive(count: int = PICTURES) -> bytes:
    """The pictures as one zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file:
        for name, content in pictures(count).items():
            file.writestr(name, content)
    return buffer.getvalue()


@contextmanager
def arena_in(data_dir: Path, model: Path, **settings: str) -> Iterator[Arena]:
    """A service of its own whose champion is the version in the folder `model`."""
    with running_service(data_dir, **settings) as service:
        parts = Services.build(Settings(redis_url="redis://127.0.0.1:1/0", data_dir=data_dir))
        version = parts.registry.publish(model).version
        with service.client() as http:
            arena = Arena(service, http)
            arena.promote(version)
            yield arena


class Arena:
    """A running service of its own. What is asked of it is asked again while it cannot be reached."""

    def __init__(self, service: Service, http: httpx.Client) -> None:
        self.service, self.http = service, http

    def ask(self, method: str, path: str, **kwargs: object) -> httpx.Response:
        """The first answer that is not an excuse."""

        def answer() -> httpx.Response | None:
            try:
                got = self.http.request(method, path, **kwargs)
            except httpx.TransportError:
                return None
            return None if got.status_code in (429, 503) else got

        return wait_until(answer, f"{method} {path} is answered", 60, every=0.2)

    def promote(self, version: str) -> None:
        answer = self.ask("PUT", "/v1/models/aliases/champion", json={"version": version}, headers={"If-Match": "*"})
        assert answer.status_code == 200, answer.text

    def submit(self) -> str:
        """Post all pictures as one zip; the job's id."""
        answer = self.ask("POST", "/v1/jobs", content=archive(), headers={"Content-Type": "application/zip"})
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    def put(self, job_id: str, name: str) -> None:
        """Add one of the pictures under its name, as often as it takes."""

        def is_there() -> bool:
            with contextlib.suppress(httpx.TransportError):
                return put(self.http, job_id, name, pictures()[name]).status_code in (200, 201)
            return False

        wait_until(is_there, f"{name} is added", 60)

    def job(self, job_id: str) -> dict:
        answer = self.ask("GET", f"/v1/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ended(self, job_id: str) -> dict:
        return wait_until(lambda: (job := self.job(job_id))["done"] and job, f"{job_id} is over", ENDS_S, every=0.3)

    def begun(self, job_id: str) -> None:
        """Wait until the first chunk of the job is done, and not all of it."""
        job = wait_until(
            lambda: (job := self.job(job_id))["counts"]["succeeded"] and job, f"{job_id} is begun", ENDS_S, every=0.01
        )
        assert not job["done"], "the job was over before anything could happen to it"

    def answers(self, job_id: str) -> dict[str, Answer]:
        """Each item's predictions by its file name; no item is there twice."""
        items = results(self.http, job_id, limit=1000)
        answers = {item["filename"]: [(p["label"], p["score"]) for p in item["predictions"]] for item in items}
        assert len(answers) == len(items)
        assert {item["state"] for item in items} == {"succeeded"}
        return answers

    def undisturbed(self) -> dict[str, Answer]:
        """The answers of a job that nothing happens to."""
        job_id = self.submit()
        self.ended(job_id)
        answers = self.answers(job_id)
        assert answers.keys() == pictures().keys()
        assert len({answer[0][0] for answer in answers.values()}) > 1, "pictures that look alike would prove nothing"
        return answers

    def redis(self) -> redis.Redis:
        """A client of the job store."""
        return redis_of(self.service)

    def counter(self, name: str) -> int:
        """How often something rare has happened."""
        with self.redis() as client:
            return int(client.hget(keys.COUNTERS, name) or 0)

    def process(self, name: str) -> psutil.Process:
        """The one process of a program that the supervisor has started; waits while it is started again."""
        return wait_until(lambda: self._process(name), f"{name} runs")

    def _process(self, name: str) -> psutil.Process | None:
        supervisors = psutil.Process(self.service.process.pid).children()
        programs = [process for one in supervisors for process in one.children()]
        return next((process for process in programs if MARKS[name] in " ".join(words(process))), None)

    def worker_in_work(self) -> tuple[psutil.Process, str]:
        """A process that has a chunk in hand, and the chunk's id."""
        return wait_until(self._worker_in_work, "a worker has a chunk in hand", every=0.01)

    def _worker_in_work(self) -> tuple[psutil.Process, str] | None:
        with contextlib.suppress(redis.RedisError, psutil.NoSuchProcess), self.redis() as client:
            for chunk in client.zrange(keys.LEASES, 0, -1):
                name = client.hget(f"darkroom:chunk:{chunk}", "worker")
                if name and psutil.pid_exists(pid := int(name.rpartition(":")[2])):
                    return psutil.Process(pid), chunk
        return None

    def holds(self, chunk: str) -> bool:
        """Whether a worker has this chunk."""
        with self.redis() as client:
            return client.zscore(keys.LEASES, chunk) is not None


def words(process: psutil.Process) -> list[str]:
    """The command of a process, empty where it has just ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


#: What the command of each program has that no other has.
MARKS = {
    "web": "gunicorn",
    "classify-interactive": "classify-interactive@",
    "classify-bulk": "classify-bulk@",
    "train": "train@",
    "reconcile": "worker.reconcile",
    "redis": Path(program()).name,
}


def check(arena: Arena, job_id: str, expected: dict[str, Answer]) -> None:
    """The job ended as if nothing had happened, and once it is deleted nothing is left of it.

    `expected` are the answers of an undisturbed run.
    """
    job = arena.ended(job_id)
    assert job["state"] == "succeeded", job
    assert job["counts"] == {"total": len(expected), "succeeded": len(expected), "failed": 0, "cancelled": 0}
    answers = arena.answers(job_id)
    assert answers.keys() == expected.keys()
    for name, answer in answers.items():
        assert dict(answer) == pytest.approx(dict(expected[name]), abs=TOLERANCE), name
    assert arena.ask("DELETE", f"/v1/jobs/{job_id}").status_code == 204
    wait_until(lambda: not left(arena, job_id), f"nothing is left of {job_id}: {left(arena, job_id)}")


def left(arena: Arena, job_id: str) -> dict[str, list[str]]:
    """The traces of a job, and chunks and leases, which nobody should hold."""
    found = {name: sorted(each for each in names if job_id in each) for name, names in traces(arena.service).items()}
    with arena.redis() as client:
        found["chunks"] = list(client.scan_iter("darkroom:chunk:*"))
        found["leases"] = list(client.zrange(keys.LEASES, 0, -1))
    return {name: names for name, names in found.items() if names}


def kill_worker_in_work(arena: Arena, _chance: random.Random) -> None:
    """SIGKILL of the process that has a chunk in hand."""
    kill(arena.worker_in_work()[0])


def kill_worker_parent(arena: Arena, _chance: random.Random) -> None:
    """SIGKILL of the parent of the processes that classify."""
    kill(arena.process("classify-bulk"))


def kill_every_worker(arena: Arena, _chance: random.Random) -> None:
    """SIGKILL of all worker processes and their parents at once."""
    families = [arena.process(name) for name in ("classify-bulk", "classify-interactive", "train")]
    for process in [one for parent in families for one in (parent, *parent.children(recursive=True))]:
        kill(process)


def kill_reconciler(arena: Arena, _chance: random.Random) -> None:
    """SIGKILL of the reconciler, and of a worker whose chunk it would have brought back."""
    kill(arena.worker_in_work()[0])
    kill(arena.process("reconcile"))


def kill_redis(arena: Arena, _chance: random.Random) -> None:
    """SIGKILL of Redis."""
    kill(arena.process("redis"))


def kill_web(arena: Arena, chance: random.Random) -> None:
    """SIGKILL of one of the web server's processes, or of their parent."""
    parent = arena.process("web")
    kill(chance.choice([parent, *parent.children()]))


def empty_broker(arena: Arena, _chance: random.Random) -> None:
    """All messages vanish, and whatever else the broker knows."""
    with contextlib.suppress(redis.RedisError), arena.redis() as client:
        client.connection_pool.connection_kwargs["db"] = 1
        client.flushdb()


def stall_worker(arena: Arena, _chance: random.Random) -> None:
    """SIGSTOP of a worker with a chunk in hand for longer than its lease, then SIGCONT."""
    while True:
        worker, chunk = arena.worker_in_work()
        with contextlib.suppress(psutil.NoSuchProcess, redis.RedisError):
            worker.suspend()
            try:
                if arena.holds(chunk):
                    time.sleep(STALL_S)
                    return
            finally:
                worker.resume()


def kill(process: psutil.Process) -> None:
    """SIGKILL, where it still runs."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()


Fault = Callable[[Arena, random.Random], None]
#: Every fault that a job outlives without anybody's help.
FAULTS: tuple[Fault, ...] = (
    kill_worker_in_work,
    kill_worker_parent,
    kill_every_worker,
    kill_reconciler,
    kill_redis,
    kill_web,
    empty_broker,
    stall_worker,
)
