"""The lock of the data folder, and access to its Redis for commands that run beside `darkroom up`."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from cli.address import local_url
from cli.stack import embedded_redis
from shared.domain.errors import ConfigError, Unavailable
from shared.jobs.store import JobStore
from shared.redis.connection import connect
from shared.settings import Settings

#: Seconds until a new Redis must answer, loading its file included; and seconds between two checks.
START_S, POLL_S = 30, 0.05
#: Seconds that Redis has to write its file and exit.
STOP_S = 5
#: Seconds that the processes of a killed `darkroom up` have to exit: supervisor gives them 9, Redis the last.
ORPHANS_STOP_S = 15


class AlreadyRunning(ConfigError):
    """Another process holds the lock of the data folder."""


@contextmanager
def lock(settings: Settings) -> Iterator[None]:
    """Hold the lock of the data folder. The kernel releases it if this process dies.

    Raises ConfigError if the folder is not writable, is locked, or is still used by the Redis of a killed process.
    """
    data_dir = settings.data_dir
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        file = (data_dir / "darkroom.lock").open("a+")
    except OSError as error:
        raise ConfigError(f"DARKROOM_DATA_DIR: cannot write to {data_dir}: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(_already_runs(data_dir, _holder(file))) from error
        file.truncate(0)
        file.write(f"{os.getpid()} {local_url(settings.host, settings.port)}")
        file.flush()
        _wait_for_orphan(settings)
        yield


@contextmanager
def shared_redis(settings: Settings) -> Iterator[str]:
    """Yield the URL of the service's Redis. If the service is not running, the embedded Redis is started for the block.

    Raises ConfigError.
    """
    if settings.redis_url:
        yield settings.redis_url
        return
    try:
        with lock(settings), temporary_redis(settings) as url:
            yield url
    except AlreadyRunning:
        yield embedded_redis.configured_url(settings)


@contextmanager
def temporary_redis(settings: Settings) -> Iterator[str]:
    """Yield the URL of Redis while holding the lock. The embedded one is started and stopped."""
    if settings.redis_url:
        yield settings.redis_url
        return
    server = embedded_redis.prepare(settings)
    with subprocess.Popen(server.command, cwd=server.folder, stdout=subprocess.DEVNULL) as process:
        try:
            _wait(server.url)
            yield server.url
        finally:
            process.terminate()  # it finishes writing its file
            process.wait(STOP_S)


def _wait_for_orphan(settings: Settings) -> None:
    """Wait until the Redis of a killed process has exited: two must never write the same file."""
    if settings.redis_url:
        return
    try:
        url = embedded_redis.configured_url(settings)
    except ConfigError:  # the first start
        return
    deadline = time.monotonic() + ORPHANS_STOP_S
    while _is_up(url):
        if time.monotonic() > deadline:
            raise ConfigError(f"the Redis of an earlier start still runs on {settings.data_dir}: stop it")
        time.sleep(POLL_S)


def _is_up(url: str) -> bool:
    try:
        JobStore(connect(url)).ping()
    except Exception:  # noqa: BLE001  # nothing listens there any more, or another program does
        return False
    return True


def _wait(url: str) -> None:
    deadline = time.monotonic() + START_S
    store = JobStore(connect(url))
    while True:
        try:
            return store.ping()
        except Unavailable as error:
            if time.monotonic() > deadline:
                raise ConfigError(f"the embedded Redis did not answer within {START_S} s") from error
            time.sleep(POLL_S)


def _already_runs(data_dir: Path, holder: str) -> str:
    process, _, url = holder.partition(" ")
    stop = f", at {url}. To stop it: Ctrl-C in its terminal, or kill {process}" if url else ""
    return f"Darkroom already runs on {data_dir} (process {process}){stop}"


def _holder(file: IO[str]) -> str:
    file.seek(0)
    return file.read().strip() or "unknown"
