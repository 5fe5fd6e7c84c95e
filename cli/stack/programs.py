"""The programs that make up Darkroom, and the files with which supervisor starts them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from cli.address import authority
from cli.stack.embedded_redis import RedisServer
from cli.stack.program import FILE
from shared.domain.entities import Queue
from shared.settings import Settings

#: Seconds until a stopping program is killed, and Redis after the others. Together under 10.
STOP_S, REDIS_STOP_S = 6, 3
#: Restarts of a program that fails to start; supervisor waits longer each time.
RETRIES = 1000

#: Name of supervisor's configuration file, and the program that reads it.
SUPERVISOR_FILE, SUPERVISOR = "supervisor.conf", "supervisor"
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


def classify_workers(settings: Settings) -> dict[str, Command]:
    """Return the commands of the workers that classify. One process is reserved for small jobs."""
    return {
        "classify-interactive": worker("classify-interactive", [Queue.INTERACTIVE], 1),
        "classify-bulk": worker("classify-bulk", [Queue.INTERACTIVE, Queue.BULK], settings.classify_workers),
    }


def train_worker() -> dict[str, Command]:
    """Return the command of the worker that trains."""
    return {"train": worker("train", [Queue.TRAIN], 1)}


def programs(settings: Settings) -> dict[str, Command]:
    """Return the command of every program but Redis."""
    others = {"reconcile": reconciler(), "deliver": webhook_sender()}
    return {"web": web(settings), **classify_workers(settings), **train_worker(), **others}


def write_configuration(commands: Mapping[str, Command], redis: RedisServer | None, folder: Path) -> None:
    """Write the files of supervisor and of `cli.stack.program` to `folder`, where supervisor must run.

    Logs are in its folder `log`. Redis starts first and stops last.
    """
    (folder / "log").mkdir(parents=True, exist_ok=True)
    supervisor = [sys.executable, "-m", "supervisor.supervisord", "--configuration", SUPERVISOR_FILE]
    all_commands = {**commands, SUPERVISOR: supervisor}
    started = {name: {"folder": ".", "command": command} for name, command in all_commands.items()}
    if redis is not None:
        started["redis"] = {"folder": str(redis.folder), "command": redis.command}
    (folder / FILE).write_text(json.dumps(started))
    (folder / SUPERVISOR_FILE).write_text(_supervisor_configuration(commands, with_redis=redis is not None))


def _supervisor_configuration(names: Iterable[str], *, with_redis: bool) -> str:
    sections = ["[supervisord]\nnodaemon=true\nsilent=true\nlogfile=log/supervisor.log\npidfile=supervisor.pid\n"]
    if with_redis:
        sections.append(_program("redis", REDIS_STOP_S) + "priority=1\n")
    sections += [_program(name, STOP_S) for name in names]
    # Supervisor stops the programs of a group together.
    sections.append(f"[group:darkroom]\nprograms={','.join(names)}\n")
    return "\n".join(sections)


def _program(name: str, stop_s: int) -> str:
    return (
        f"[program:{name}]\n"
        f"command={Path(sys.executable).name} -m cli.stack.program {name}\n"  # found in PATH, see `environment.py`
        f"stdout_logfile=log/{name}.log\n"
        "redirect_stderr=true\nstdout_logfile_maxbytes=10MB\nstdout_logfile_backups=2\n"
        f"autorestart=true\nstartretries={RETRIES}\nstopwaitsecs={stop_s}\nkillasgroup=true\n"
        f"stopasgroup={str(name in WHOLE_GROUP).lower()}\n"
    )
