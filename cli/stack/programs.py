"""The programs that make up Darkroom, and supervisor's configuration for them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from shared.domain.entities import Queue
from shared.settings import Settings

#: Seconds until a stopping program is killed, and Redis after the others. Together under 10.
STOP_S, REDIS_STOP_S = 6, 3
#: Restarts of a program that fails to start; supervisor waits longer each time.
RETRIES = 1000

#: Programs whose child processes are stopped at the same time: a training returns to the queue at once.
WHOLE_GROUP = {"train"}

Command = list[str]


def web(settings: Settings) -> Command:
    """Return the command of the web server."""
    return [
        *(sys.executable, "-m", "gunicorn", "web.app:from_environment()"),
        *("--bind", authority(settings.host, settings.port)),
        *("--config", "python:web.server"),
        *("--worker-class", "web.server.Worker"),
        *("--logger-class", "web.server.Logger"),
        *("--workers", str(settings.web_processes)),
        *("--threads", str(settings.web_threads)),
        *("--graceful-timeout", str(STOP_S - 2)),
        *("--keep-alive", "15"),
        "--no-control-socket",
    ]


def authority(host: str, port: int) -> str:
    """Return host and port as in a URL (RFC 3986, 3.2): an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def worker(name: str, queues: list[Queue], processes: int) -> Command:
    """Return the command of a Celery worker for these queues, in order of preference."""
    return [
        *(sys.executable, "-m", "celery", "--quiet", "--app", "worker.runtime.app", "worker"),
        *("--hostname", f"{name}@%h"),
        *("--queues", ",".join(queues)),
        *("--pool", "prefork", "--concurrency", str(processes)),
        *("--without-mingle", "--without-gossip", "--without-heartbeat"),
        *("--loglevel", "INFO"),
    ]


def reconciler() -> Command:
    """Return the command of the reconciler."""
    return [sys.executable, "-m", "worker.reconcile"]


def webhook_sender() -> Command:
    """Return the command of the webhook sender."""
    return [sys.executable, "-m", "worker.webhooks"]


def programs(settings: Settings) -> dict[str, Command]:
    """Return the command of every program but Redis. One classify worker is reserved for small jobs."""
    return {
        "web": web(settings),
        "classify-interactive": worker("classify-interactive", [Queue.INTERACTIVE], 1),
        "classify-bulk": worker("classify-bulk", [Queue.INTERACTIVE, Queue.BULK], settings.classify_workers),
        "train": worker("train", [Queue.TRAIN], 1),
        "reconcile": reconciler(),
        "deliver": webhook_sender(),
    }


def supervisor_configuration(commands: Mapping[str, Command], redis: Command | None, folder: Path) -> str:
    """Return supervisor's configuration file. `folder` is for logs; Redis starts first and stops last."""
    sections = [
        "[supervisord]\nnodaemon=true\nsilent=true\n"
        f"logfile={_value(str(folder / 'log' / 'supervisor.log'))}\n"
        f"pidfile={_value(str(folder / 'supervisor.pid'))}\n"
    ]
    if redis is not None:
        sections.append(_program("redis", redis, folder, REDIS_STOP_S) + "priority=1\n")
    sections += [_program(name, command, folder, STOP_S) for name, command in commands.items()]
    # Supervisor stops the programs of a group together.
    sections.append(f"[group:darkroom]\nprograms={','.join(commands)}\n")
    return "\n".join(sections)


def _program(name: str, command: Command, folder: Path, stop_s: int) -> str:
    child = [sys.executable, "-m", "cli.stack.parent_death", *command]
    return (
        f"[program:{name}]\n"
        f"command={_value(shlex.join(child))}\n"
        f"stdout_logfile={_value(str(folder / 'log' / f'{name}.log'))}\n"
        "redirect_stderr=true\nstdout_logfile_maxbytes=10MB\nstdout_logfile_backups=2\n"
        f"autorestart=true\nstartretries={RETRIES}\nstopwaitsecs={stop_s}\nkillasgroup=true\n"
        f"stopasgroup={str(name in WHOLE_GROUP).lower()}\n"
    )


def _value(text: str) -> str:
    """Escape `%`, which supervisor expands."""
    return text.replace("%", "%%")
