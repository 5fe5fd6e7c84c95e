"""The programs of a service, one by one, with workers that do nothing, and the processor time that each takes."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import redis

from bench.service import POLL_S, ROOT, START_S, Service
from cli.stack import embedded_redis, programs
from shared.domain.entities import Queue
from shared.services import Services
from shared.settings import load_settings

if TYPE_CHECKING:
    import psutil

REAL_APP, IDLE_APP = "worker.runtime.app", "bench.idle_app"


@dataclass(frozen=True)
class Idle:
    """Workers that do nothing: one program for each machine, with `processes` each.

    A chunk has at most `items` pictures and takes `seconds`.
    """

    machines: int = 1
    processes: int = 2
    items: int = 256
    seconds: float = 0.0


@dataclass(frozen=True)
class Stack:
    """A running service: a client of it, its parts as a program has them, and its processes by program."""

    service: Service
    parts: Services
    processes: dict[str, psutil.Process]

    def used_s(self, program: str) -> float:
        """Return the seconds of processor time that a program has taken, with its child processes."""
        process = self.processes[program]
        return sum(map(_used_s, [process, *process.children(recursive=True)]))


def _used_s(process: psutil.Process) -> float:
    import psutil

    with suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)
    return 0.0


@contextmanager
def running_stack(idle: Idle) -> Iterator[Stack]:
    """Run Redis, one web process, one reconciler and these workers on an empty data folder."""
    import psutil

    with tempfile.TemporaryDirectory() as folder, ExitStack() as started:
        variables = {"DARKROOM_DATA_DIR": folder, "DARKROOM_PORT": str(embedded_redis.free_port())}
        variables |= {"DARKROOM_WEB_PROCESSES": "1", "DARKROOM_CLASSIFY_WORKERS": str(idle.processes)}
        server = embedded_redis.prepare(load_settings(variables))
        settings = load_settings(variables | {"DARKROOM_REDIS_URL": server.url})
        environment = os.environ | variables | {"DARKROOM_REDIS_URL": server.url}
        environment |= {"BENCH_CHUNK_S": str(idle.seconds), "BENCH_CHUNK_ITEMS": str(idle.items)}
        processes = {"redis": started.enter_context(_process(server.command, dict(os.environ), server.folder))}
        with redis.Redis.from_url(server.url) as client:
            _wait_until(lambda: _is_up(client))
        commands = {"web": programs.web(settings), "reconcile": programs.reconciler()}
        queues = [Queue.INTERACTIVE, Queue.BULK]
        commands |= {f"worker-{n}": programs.worker(f"idle-{n}", queues, idle.processes) for n in range(idle.machines)}
        for name, command in commands.items():
            words = [IDLE_APP if word == REAL_APP else word for word in command]
            processes[name] = started.enter_context(_process(words, environment, ROOT))
        http = started.enter_context(
            httpx.Client(base_url=f"http://127.0.0.1:{settings.port}", timeout=600, trust_env=False)
        )
        parts = Services.build(settings)
        started.callback(parts.close)
        _wait_until(lambda: len(parts.workers.alive()) == idle.machines * idle.processes)
        _wait_until(lambda: _responds(http))
        yield Stack(Service(http, Path(folder), psutil.Process()), parts, processes)


@contextmanager
def _process(command: list[str], environment: dict[str, str], folder: Path) -> Iterator[psutil.Process]:
    """Run a program during the block. It ends before those that were started earlier."""
    import psutil

    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=quiet, stderr=quiet) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


def _is_up(client: redis.Redis) -> bool:
    with suppress(redis.RedisError):
        return bool(client.ping())
    return False


def _responds(http: httpx.Client) -> bool:
    with suppress(httpx.TransportError):
        return http.get("/healthz").is_success
    return False


def _wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for something. Raise RuntimeError after START_S."""
    for _ in range(int(START_S / POLL_S)):
        if is_so():
            return
        time.sleep(POLL_S)
    raise RuntimeError("the programs are not ready")
