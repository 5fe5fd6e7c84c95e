"""A service for a benchmark, started with `up`, and a client of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from bench.files import BOUNDARY
from cli.stack import embedded_redis

if TYPE_CHECKING:
    import psutil

ROOT = Path(__file__).resolve().parent.parent
#: Seconds until a service must be ready.
START_S = 120
POLL_S = 0.1
#: Words in the command lines of each program's processes.
PROGRAMS = {
    "web": "gunicorn",
    "worker": "classify-bulk",
    "reconcile": "worker.reconcile",
    "redis": Path(embedded_redis.redis_server_path()).name,
}
#: Concurrent requests with many files.
CLIENTS = 4
#: Bytes in one write to a socket.
PIECE_BYTES = 256 * 1024
MB = 1_000_000


@dataclass(frozen=True)
class Service:
    """A running service: an HTTP client, the data folder, and the main process."""

    http: httpx.Client
    folder: Path
    process: psutil.Process

    def submit(self, archive: bytes, **query: str) -> str:
        """Post a zip, with these query parameters, and return the job's id."""
        headers = {"Content-Type": "application/zip", "Content-Length": str(len(archive))}
        answer = self.http.post("/v1/jobs", content=_pieces(archive), headers=headers, params=query)  # type: ignore[arg-type]  # sockets accept memoryviews
        answer.raise_for_status()
        return str(answer.json()["id"])

    def submit_parts(self, bodies: Sequence[bytes]) -> str:
        """Post multipart bodies into an open job concurrently, seal it, and return its id."""
        job_id = str(self.http.post("/v1/jobs", json={"kind": "classification"}).raise_for_status().json()["id"])
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}

        def one(body: bytes) -> None:
            self.http.post(f"/v1/jobs/{job_id}/items", content=body, headers=headers).raise_for_status()

        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(one, bodies))
        self.http.post(f"/v1/jobs/{job_id}/seal").raise_for_status()
        return job_id

    def one(self, picture: bytes) -> float:
        """Send one picture, wait for its result, and return the seconds."""
        headers = {"Content-Type": "image/png", "Prefer": "wait=30"}
        begin = time.perf_counter()
        answer = self.http.post("/v1/jobs", content=picture, headers=headers)
        took = time.perf_counter() - begin
        if answer.status_code != 200 or answer.json()["counts"]["succeeded"] != 1:
            raise RuntimeError(f"no result: {answer.status_code} {answer.text[:200]}")
        return took

    def job(self, job_id: str, wait: int = 0) -> dict[str, Any]:
        """Return the job's status; with `wait`, after its next change or that many seconds."""
        answer = self.http.get(f"/v1/jobs/{job_id}", params={"wait": wait} if wait else None)
        return dict(answer.raise_for_status().json())

    def wait_until_done(self, job_id: str) -> dict[str, Any]:
        """Wait until the job has ended, and return it."""
        while not (job := self.job(job_id, wait=30))["done"]:
            pass
        return job

    def results(self, job_id: str, count: int) -> None:
        """Wait for the job and read all results. Raises RuntimeError if a picture has none."""
        self.wait_until_done(job_id)
        lines = self.http.get(f"/v1/jobs/{job_id}/results.ndjson").raise_for_status().content
        if (found := lines.count(b'"succeeded"')) != count:
            raise RuntimeError(f"{found} results for {count} pictures")

    def delete(self, job_id: str) -> None:
        """Delete a finished job."""
        self.http.delete(f"/v1/jobs/{job_id}").raise_for_status()

    def champion(self) -> str:
        """Return the version that serves new jobs."""
        return str(self.http.get("/v1/models/aliases").raise_for_status().json()["champion"]["version"])

    def use(self, file: Path) -> str:
        """Import a Keras model, promote it, and return its version."""
        with file.open("rb") as content:
            answer = self.http.post("/v1/models", files={"file": content}, data={"value_range": "0-255"})
        version = str(answer.raise_for_status().json()["version"])
        alias = "/v1/models/aliases/champion"
        self.http.put(alias, json={"version": version}, headers={"If-Match": "*"}).raise_for_status()
        return version

    def memory(self) -> dict[str, float]:
        """Return the memory (USS) of each program, the sum of its processes, in MB."""
        processes = [(" ".join(one.cmdline()), one.memory_full_info().uss) for one in self.process.children(True)]
        return {
            name: sum(uss for words, uss in processes if mark in words and "cli.stack.program" not in words) / MB
            for name, mark in PROGRAMS.items()
        }


def _pieces(content: bytes) -> Iterator[memoryview]:
    """Yield the content in pieces: httpx copies what a socket did not accept each time it tries again."""
    for start in range(0, len(content), PIECE_BYTES):
        yield memoryview(content)[start : start + PIECE_BYTES]


@contextmanager
def running_service(**settings: object) -> Iterator[Service]:
    """Run a service with these settings on an empty data folder, and yield it."""
    import psutil  # the service does without, and so does --help

    with tempfile.TemporaryDirectory() as folder:
        port = embedded_redis.free_port()
        environment = {**os.environ, "DARKROOM_PORT": str(port), "DARKROOM_DATA_DIR": folder}
        environment |= {f"DARKROOM_{name.upper()}": str(value) for name, value in settings.items()}
        command = [sys.executable, "-m", "cli", "up"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=600, trust_env=False) as http:
                _wait(http, process)
                yield Service(http, Path(folder), psutil.Process(process.pid))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()


def _wait(http: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    """Wait until the service is ready. Raises RuntimeError if it exits, or after START_S."""
    for _ in range(int(START_S / POLL_S)):
        time.sleep(POLL_S)
        try:
            if http.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            if process.poll() is not None:
                break
    raise RuntimeError("the service is not ready")
