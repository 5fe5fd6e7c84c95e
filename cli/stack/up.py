"""`darkroom up`: start every program under supervisor, say when it is ready, and stop all of it at the end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

import click
import httpx

from cli.stack import embedded_redis
from cli.stack.data_folder import held, redis_for_now
from cli.stack.programs import authority, programs, supervisor_configuration
from shared.access.key_store import KeyStore
from shared.domain.errors import ConfigError
from shared.redis.connection import connect
from shared.settings import Settings
from shared.startup import check_binding

ROOT = Path(__file__).resolve().parent.parent.parent
#: Seconds until the start counts as failed: a cold disk reads TensorFlow in some 20.
READY_TIMEOUT_S = 180
#: Seconds that supervisor has to stop everything; then it is killed, and the kernel ends its programs.
STOP_TIMEOUT_S = 9.5
LOOK_S = 0.1


class Stopped(BaseException):
    """SIGTERM or SIGINT came; what catches every Exception does not catch it."""


def run(settings: Settings) -> int:
    """Run until SIGTERM or Ctrl-C and return the exit status. Raises ConfigError where it cannot start."""
    settings = settings.model_copy(update={"data_dir": settings.data_dir.resolve()})
    _catch_signals()
    try:
        with held(settings):
            _check_binding(settings)
            check_port(settings.host, settings.port)
            return _supervise(settings, settings.data_dir / "run")
    except Stopped:
        return 0


def _supervise(settings: Settings, folder: Path) -> int:
    (folder / "log").mkdir(parents=True, exist_ok=True)
    supervisor = _start(settings, folder)
    try:
        return _watch(supervisor, settings, folder / "log")
    except Stopped:
        click.echo("Stopping…")
        return 0
    finally:
        _stop(supervisor)


def _start(settings: Settings, folder: Path) -> subprocess.Popen[bytes]:
    server = None if settings.redis_url else embedded_redis.prepare(settings)
    url = settings.redis_url or (server.url if server else "")
    file = folder / "supervisor.conf"
    file.write_text(supervisor_configuration(programs(settings), server.command if server else None, folder))
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DARKROOM_DATA_DIR": str(settings.data_dir),
        "DARKROOM_REDIS_URL": url,
        # In glibc each thread takes a pool of memory, which it seldom gives back; for ours two are enough.
        "MALLOC_ARENA_MAX": os.environ.get("MALLOC_ARENA_MAX", "2"),
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
    }
    child = [sys.executable, "-m", "cli.stack.parent_death"]
    command = [*child, sys.executable, "-m", "supervisor.supervisord", "--configuration", str(file)]
    # A session of its own: Ctrl-C in the terminal reaches this process alone, which then stops the rest in order.
    return subprocess.Popen(command, env=environment, cwd=ROOT, start_new_session=True)


def _watch(supervisor: subprocess.Popen[bytes], settings: Settings, logs: Path) -> int:
    click.echo("Starting Darkroom…")
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104
    address = f"http://{authority(host, settings.port)}"
    began, missing = time.monotonic(), "nothing answers yet"
    client = httpx.Client(base_url=address, timeout=5, trust_env=False)
    while (seconds := time.monotonic() - began) < READY_TIMEOUT_S and supervisor.poll() is None:
        missing = not_ready(client)
        if not missing:
            click.echo(f"Darkroom is ready at {address} ({seconds:.1f} s). Ctrl-C stops it. Logs: {logs}")
            supervisor.wait()
            break
        time.sleep(LOOK_S)
    else:
        click.echo(f"Darkroom did not get ready: {missing}. Logs: {logs}", err=True)
        return 1
    click.echo(f"The supervisor ended by itself. Logs: {logs}", err=True)
    return 1


def not_ready(client: httpx.Client) -> str:
    """What is missing until the service is ready; empty where nothing is."""
    try:
        checks = client.get("/readyz").json()["checks"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return "the web server does not answer"
    return "; ".join(f"{name}: {check['detail']}" for name, check in checks.items() if not check["ok"])


def _stop(supervisor: subprocess.Popen[bytes]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave processes behind
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    supervisor.terminate()
    try:
        supervisor.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        supervisor.kill()
        supervisor.wait()


def _check_binding(settings: Settings) -> None:
    """Raise ConfigError where others could come in without a key. Redis is only started where it must be asked."""
    if settings.needs_stored_key:
        with redis_for_now(settings) as url:
            check_binding(settings, KeyStore(connect(url)))


def check_port(host: str, port: int) -> None:
    """Raise ConfigError where the web server could not listen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            where = authority(host, port)
            raise ConfigError(f"cannot listen on {where}: {reason}; DARKROOM_PORT sets another") from error


def _catch_signals() -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Stopped

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
