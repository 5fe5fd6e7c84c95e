"""The command line as a subprocess, and a faulty relay in front of the service."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from cli.stack import embedded_redis
from shared.settings import PREFIX, Settings
from tests.conftest import NO_TLS, ROOT, START_STOP_S, answers, wait_until

PROGRAM = [sys.executable, "-m", "cli"]
#: Environment variables that change a program's output.
OUTPUT_VARIABLES = {"NO_COLOR", "PYTHONUNBUFFERED"}
#: Headers that a relay does not forward.
HOP = {"connection", "transfer-encoding", "content-length", "host", "keep-alive"}


def environment(url: str, home: Path, **more: str) -> dict[str, str]:
    """Return an environment with this service, a separate home, and nothing that changes the output."""
    given = os.environ.items()
    kept = {name: value for name, value in given if not name.startswith(PREFIX) and name not in OUTPUT_VARIABLES}
    return {**kept, "DARKROOM_URL": url, "XDG_STATE_HOME": str(home), "PYTHONPATH": str(ROOT), "TERM": "xterm", **more}


def darkroom(url: str, folder: Path, *words: str, stdin: bytes | None = None, **more: str) -> Any:
    """Run the program in `folder`, with pipes, and return its output as text."""
    streams = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
    options = {"cwd": folder, "env": environment(url, folder, **more), "timeout": START_STOP_S}
    done = subprocess.run([*PROGRAM, *words], check=False, capture_output=True, **options, **streams)
    return subprocess.CompletedProcess(words, done.returncode, done.stdout.decode(), done.stderr.decode())


@contextmanager
def redis_left_behind(data_dir: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Yield the running Redis of a killed `darkroom up`, and its URL."""
    server = embedded_redis.prepare(Settings(data_dir=data_dir))
    with subprocess.Popen(server.command, cwd=server.folder, stdout=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: answers(server.url), "Redis answers")
            yield process, server.url
        finally:
            process.kill()


#: What a relay does with a request: respond itself (status, headers, body), forward it and then cut the connection
#: instead of responding ("drop"), or forward it (None).
Rule = Callable[["Seen"], tuple[int, dict[str, str], bytes] | str | None]


class Seen:
    """A request that a relay received."""

    def __init__(self, method: str, address: str, headers: dict[str, str], body: bytes) -> None:
        self.method, self.address, self.headers, self.body = method, address, headers, body
        self.path = address.partition("?")[0]


class Server(ThreadingHTTPServer):
    """Waits for the open requests when it is closed; every client must be closed before."""

    daemon_threads = False


class Relay:
    """A small HTTP server; `seen` has the requests in order."""

    def __init__(self, target: str) -> None:
        self.rule: Rule = lambda _request: None
        self.seen: list[Seen] = []
        self._http = httpx.Client(base_url=target, timeout=60, trust_env=False, verify=NO_TLS)
        self._server = Server(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def calls(self, method: str, end: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.method == method and seen.path.endswith(end)]

    def answer(self, seen: Seen) -> tuple[int, dict[str, str], bytes] | None:
        """Return the response, or None to cut the connection."""
        self.seen.append(seen)
        answer = self.rule(seen)
        if isinstance(answer, tuple):
            return answer
        got = self._http.request(seen.method, seen.address, headers=seen.headers, content=seen.body)
        return None if answer == "drop" else (got.status_code, dict(got.headers), got.content)

    def _handler(relay) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the handler has a self of its own
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                try:
                    self.raw_requestline = self.rfile.readline()
                    if not self.raw_requestline or not self.parse_request():
                        self.close_connection = True
                        return
                    body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                    headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
                    answer = relay.answer(Seen(self.command, self.path, headers, body))
                    if answer is None:
                        self.close_connection = True
                        return
                    self._write(*answer)
                except ConnectionError:  # the program was killed
                    self.close_connection = True

            def _write(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response_only(status)
                for name, value in headers.items():
                    if name.lower() not in HOP | {"content-encoding"}:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        return Handler

    def run(self) -> None:
        self._server.serve_forever(poll_interval=0.02)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._http.close()


@contextmanager
def relay_to(target: str) -> Iterator[Relay]:
    """Yield a running relay in front of the service at `target`."""
    relay = Relay(target)
    thread = threading.Thread(target=relay.run)
    thread.start()
    try:
        yield relay
    finally:
        relay.close()
        thread.join()
