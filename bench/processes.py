"""Processes of references: modules that run a round for each line on stdin, and servers."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from bench.files import BOUNDARY
from bench.service import POLL_S, ROOT, START_S
from cli.stack.embedded_redis import free_port


class Rounds:
    """A process that is ready when it prints its first line, and responds to each line with a line of JSON."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.about = self._answer()

    def run(self, what: str) -> Any:
        """Run one round, and return the response."""
        print(what, file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> Any:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended")
        return json.loads(line)


@contextmanager
def rounds(module: str, *arguments: object) -> Iterator[Rounds]:
    """Run the module in a process during the block."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield Rounds(process)
        finally:
            process.kill()


@contextmanager
def server(module: str, *arguments: object) -> Iterator[int]:
    """Run a server in a process during the block, and yield its port, which is its last argument."""
    port = free_port()
    command = [sys.executable, "-m", module, *map(str, arguments), str(port)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        _wait(port, process)
        yield port
    finally:
        _end(process)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until the server responds. Raises RuntimeError after START_S."""
    for _ in range(int(START_S / POLL_S)):
        time.sleep(POLL_S)
        if process.poll() is not None:
            break
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/health")
            if connection.getresponse().status in (200, 404):
                return
        except OSError:
            continue
    raise RuntimeError(f"{process.args!r} is not ready")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and its children."""
    import psutil

    for one in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
        one.kill()
    process.wait()


def post_each(port: int, path: str, bodies: Sequence[bytes], content_type: str, clients: int) -> float:
    """Post each body in a request, with concurrent clients of one connection each; return the total seconds."""

    def client(mine: Sequence[bytes]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for body in mine:
            connection.request("POST", path, body, {"Content-Type": content_type})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{answer.status}: {text[:200]!r}")
        connection.close()

    begin = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, [bodies[n::clients] for n in range(clients)]))
    return time.perf_counter() - begin


def form(file: bytes) -> bytes:
    """Return a multipart body with one part, `file`."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    return head.encode() + file + f"\r\n--{BOUNDARY}--\r\n".encode()
