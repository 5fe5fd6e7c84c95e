"""One `darkroom up` per data folder, and its Redis for the commands that run beside it."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from cli.stack import embedded_redis
from shared.domain.errors import ConfigError, Unavailable
from shared.jobs.store import JobStore
from shared.redis.connection import connect
from shared.settings import Settings

#: Seconds until a Redis that was just started answers, with a big file to read; and between two looks.
START_S, LOOK_S = 30, 0.05
#: Seconds that it has to write its file and end.
STOP_S = 5
#: Seconds that the programs of a `darkroom up` which was killed have to end: supervisor gives them 9, Redis the last.
END_S = 15


@contextmanager
def held(settings: Settings) -> Iterator[None]:
    """Hold the data folder. The kernel gives it back when this process ends, so a crash leaves nothing stale.

    Raises ConfigError where it cannot be written, another process holds it, or its Redis still runs.
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
            raise Running(f"Darkroom runs already on {data_dir} (process {_holder(file)})") from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        _wait_for_end(settings)
        yield


class Running(ConfigError):
    """Another process holds the data folder."""


@contextmanager
def redis_beside(settings: Settings) -> Iterator[str]:
    """The address of the Redis in use, whether or not the service runs; the embedded one is started for the moment.

    Raises ConfigError.
    """
    if settings.redis_url:
        yield settings.redis_url
        return
    try:
        with held(settings), redis_for_now(settings) as url:
            yield url
    except Running:
        yield embedded_redis.address(settings)


@contextmanager
def redis_for_now(settings: Settings) -> Iterator[str]:
    """The address of the Redis in use, for whoever holds the data folder: the embedded one is started and stopped."""
    if settings.redis_url:
        yield settings.redis_url
        return
    server = embedded_redis.prepare(settings)
    with subprocess.Popen(server.command, stdout=subprocess.DEVNULL) as process:
        try:
            _wait(server.url)
            yield server.url
        finally:
            process.terminate()  # it writes its file to the end
            process.wait(STOP_S)


def _wait_for_end(settings: Settings) -> None:
    """Wait for the Redis of a process that held the folder and was killed: two must never write one file."""
    if settings.redis_url:
        return  # none is started
    try:
        url = embedded_redis.address(settings)
    except ConfigError:  # there was none yet
        return
    deadline = time.monotonic() + END_S
    while _answers(url):
        if time.monotonic() > deadline:
            raise ConfigError(f"the Redis of an earlier start still runs on {settings.data_dir}: stop it")
        time.sleep(LOOK_S)


def _answers(url: str) -> bool:
    try:
        JobStore(connect(url)).ping()
    except Exception:  # noqa: BLE001  # nothing is there any more, or something else is
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
                raise ConfigError(f"the embedded Redis does not answer within {START_S} s") from error
            time.sleep(LOOK_S)


def _holder(file: IO[str]) -> str:
    file.seek(0)
    return file.read().strip() or "unknown"
