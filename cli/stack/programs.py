"""The programs that make up Darkroom, and supervisor's configuration for them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from shared.domain.entities import Queue
from shared.settings import Settings

#: Seconds that a program has to stop before it is killed; all stop at once, then Redis. Together under 10.
STOP_S, REDIS_STOP_S = 6, 3
#: A program that ends is started again as often as it takes; supervisor waits longer each time.
RETRIES = 1000

#: Programs whose children are told to stop as well: a training is not finished first, it goes back at once.
WHOLE_GROUP = {"train"}

Command = list[str]


def web(settings: Settings) -> Command:
    """The web server."""
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
    """The host and the port as they stand in a URL (RFC 3986, 3.2): an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def worker(name: str, queues: list[Queue], processes: int) -> Command:
    """A Celery worker for these queues, in the order of preference."""
    return [
        *(sys.executable, "-m", "celery", "--quiet", "--app", "worker.runtime.app", "worker"),
        *("--hostname", f"{name}@%h"),
        *("--queues", ",".join(queues)),
        *("--pool", "prefork", "--concurrency", str(processes)),
        *("--without-mingle", "--without-gossip", "--without-heartbeat"),
        *("--loglevel", "INFO"),
    ]


def reconciler() -> Command:
    """The periodic task."""
    return [sys.executable, "-m", "worker.reconcile"]


def sender() -> Command:
    """What sends webhooks."""
    return [sys.executable, "-m", "worker.webhooks"]


def programs(settings: Settings) -> dict[str, Command]:
    """Every program but Redis, by name. One classify worker is kept for small jobs: somebody waits for those."""
    return {
        "web": web(settings),
        "classify-interactive": worker("classify-interactive", [Queue.INTERACTIVE], 1),
        "classify-bulk": worker("classify-bulk", [Queue.INTERACTIVE, Queue.BULK], settings.classify_workers),
        "train": worker("train", [Queue.TRAIN], 1),
        "reconcile": reconciler(),
        "deliver": sender(),
    }


def supervisor_configuration(commands: Mapping[str, Command], redis: Command | None, folder: Path) -> str:
    """Supervisor's file. Its own file and the logs lie in `folder`; Redis starts first and stops last."""
    sections = [
        "[supervisord]\nnodaemon=true\nsilent=true\n"
        f"logfile={_value(str(folder / 'log' / 'supervisor.log'))}\n"
        f"pidfile={_value(str(folder / 'supervisor.pid'))}\n"
    ]
    if redis is not None:
        sections.append(_program("redis", redis, folder, REDIS_STOP_S) + "priority=1\n")
    sections += [_program(name, command, folder, STOP_S) for name, command in commands.items()]
    # Supervisor stops the programs of one group together, and one group after the other.
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
    """Supervisor expands `%(name)s`, and takes ` ;` for a comment."""
    return text.replace("%", "%%")
