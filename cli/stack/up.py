"""`darkroom up`: start every program under supervisor, report when the service is ready, and stop them at the end."""

from __future__ import annotations

import ssl
import subprocess
import time
from contextlib import closing, suppress
from pathlib import Path

import click
import httpx

from cli.address import local_url
from cli.stack import embedded_redis
from cli.stack.data_folder import lock, temporary_redis
from cli.stack.ports import check_port, port_warning
from cli.stack.programs import programs
from cli.stack.supervision import StopRequested, catch_signals, run_folder, start, stop
from shared.access.key_store import KeyStore
from shared.domain.errors import ConfigError, StorageFull, Unavailable
from shared.redis.connection import connect
from shared.settings import Settings
from shared.startup import StillLoading, check_binding, check_redis
from shared.storage.blobs import BlobStore
from shared.storage.identity import StorageIdentity

#: Seconds until the start fails: loading TensorFlow from a cold disk takes about 20.
READY_TIMEOUT_S = 180
#: Seconds after which it is said what the start waits for.
PATIENCE_S = 20
#: Seconds between two looks whether the service is ready: each costs it more than ten milliseconds.
POLL_S = 0.25
#: For the service's own http address: loading the certificates would take 25 ms for each poll.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def run(settings: Settings) -> int:
    """Run until SIGTERM or Ctrl-C and return the exit status. Raises ConfigError if it cannot start."""
    settings = settings.model_copy(update={"data_dir": settings.data_dir.resolve()})
    catch_signals()
    try:
        with lock(settings):
            _check_redis(settings)
            check_storage(settings)
            check_cifar10(settings)
            _check_binding(settings)
            check_port(settings.host, settings.port)
            if warning := port_warning(settings.port):
                click.echo(f"Warning: {warning}", err=True)
            return _supervise(settings)
    except StopRequested:
        return 0


def _supervise(settings: Settings) -> int:
    supervisor = _start(settings)
    try:
        return _watch(supervisor, settings, run_folder(settings) / "log")
    except StopRequested:
        click.echo("Stopping...")
        return 0
    finally:
        stop(supervisor)


def _start(settings: Settings) -> subprocess.Popen[bytes]:
    server = None if settings.redis_url else embedded_redis.prepare(settings)
    return start(programs(settings), server, settings, settings.redis_url or (server.url if server else ""))


def _watch(supervisor: subprocess.Popen[bytes], settings: Settings, logs: Path) -> int:
    click.echo("Starting Darkroom...")
    address = local_url(settings.host, settings.port)
    began, told = time.monotonic(), ""
    missing = "the web server does not answer"
    while (seconds := time.monotonic() - began) < READY_TIMEOUT_S and supervisor.poll() is None:
        missing = failing_checks(address)
        if seconds > PATIENCE_S and missing not in ("", told):
            told = missing
            click.echo(f"Waiting: {missing}", err=True)
        if not missing:
            click.echo(f"Darkroom is ready at {address} ({seconds:.1f} s). Ctrl-C stops it. Logs: {logs}")
            supervisor.wait()
            break
        time.sleep(POLL_S)
    else:
        click.echo(f"Darkroom is not ready: {missing}. Logs: {logs}", err=True)
        return 1
    click.echo(f"The supervisor exited unexpectedly. Logs: {logs}", err=True)
    return 1


def failing_checks(address: str) -> str:
    """Return which checks of the service fail; empty if it is ready."""
    try:
        checks = httpx.get(f"{address}/readyz", timeout=5, trust_env=False, verify=NO_TLS).json()["checks"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return "the web server does not answer"
    return "; ".join(f"{name}: {check['detail']}" for name, check in checks.items() if not check["ok"])


def check_storage(settings: Settings) -> None:
    """Raise ConfigError if DARKROOM_STORAGE_URL cannot work, or is not what belongs to the person's own Redis."""
    blobs = BlobStore.open(settings.storage_url, settings.data_dir)
    if settings.redis_url:
        with closing(connect(settings.redis_url)) as client, suppress(Unavailable, StorageFull):
            StorageIdentity(client, blobs).check()


def check_cifar10(settings: Settings) -> None:
    """Raise ConfigError if DARKROOM_CIFAR10 is set and names no file."""
    if settings.cifar10 and not settings.cifar10.is_file():
        raise ConfigError(
            f"DARKROOM_CIFAR10: there is no file {settings.cifar10}. CIFAR-10 comes from "
            "https://www.cs.toronto.edu/~kriz/cifar.html; docs/model.md has the command that writes it to such a file. "
            "Without this setting, the first training downloads it"
        )


def _check_redis(settings: Settings) -> None:
    """Raise ConfigError if the person's own Redis cannot be used. Wait if it is loading; say what is missing."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    told = ""
    while True:
        try:
            missing = check_redis(settings)
            break
        except StillLoading as error:
            if time.monotonic() > deadline:
                raise
            if str(error) != told:
                click.echo(told := str(error), err=True)
            time.sleep(POLL_S)
    for sentence in missing:
        click.echo(f"Warning: {sentence}", err=True)


def _check_binding(settings: Settings) -> None:
    """Raise ConfigError if other machines could use the service without a key. Redis is started only if needed."""
    if settings.needs_stored_key:
        with temporary_redis(settings) as url:
            check_binding(settings, KeyStore(connect(url)))
