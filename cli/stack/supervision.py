"""Programs under supervisor: their start, their end, and the signals that ask for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

from cli.stack.embedded_redis import RedisServer
from cli.stack.environment import environment
from cli.stack.programs import SUPERVISOR, Command, write_configuration
from shared.settings import Settings

#: Seconds until a stopping supervisor is killed; the kernel then ends its programs.
STOP_TIMEOUT_S = 9.5


class StopRequested(BaseException):
    """SIGTERM, SIGINT or SIGHUP was received. Not an Exception, so that `except Exception` does not catch it."""


def catch_signals() -> None:
    """Raise StopRequested in this thread at a signal to stop."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise StopRequested

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)


def start(
    commands: Mapping[str, Command], server: RedisServer | None, settings: Settings, redis_url: str
) -> subprocess.Popen[bytes]:
    """Start supervisor with these programs, in the folder `run` of the data folder."""
    folder = run_folder(settings)
    write_configuration(commands, server, folder)
    # In a new session, Ctrl-C reaches only this process, which then stops the others in order.
    return subprocess.Popen(
        [sys.executable, "-m", "cli.stack.program", SUPERVISOR],
        env=environment(os.environ, settings, redis_url),
        cwd=folder,
        start_new_session=True,
    )


def stop(supervisor: subprocess.Popen[bytes]) -> None:
    """Stop supervisor and its programs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave processes behind
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    supervisor.terminate()
    try:
        supervisor.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        supervisor.kill()
        supervisor.wait()


def run_folder(settings: Settings) -> Path:
    """Return the folder of supervisor's files; `log` in it has the logs."""
    return settings.data_dir / "run"
