"""The tasks that messages name, and what a worker process does when it starts and stops."""

from __future__ import annotations

import logging
import os
import signal
from typing import Any

from celery import Celery
from celery.signals import worker_process_init, worker_process_shutdown

from shared.entities import Queue
from shared.errors import Unavailable
from shared.queue import CLASSIFY
from shared.services import Services
from shared.settings import load_settings
from worker.process import WorkerProcess

log = logging.getLogger(__name__)

#: This process's worker: one in each child, made after the fork, none in the parent.
_process: WorkerProcess | None = None


def register(app: Celery) -> None:
    """Add the tasks to `app`, and let its processes set themselves up."""
    app.task(name=CLASSIFY)(classify)
    worker_process_init.connect(_start, weak=False, dispatch_uid="darkroom")
    worker_process_shutdown.connect(_stop, weak=False, dispatch_uid="darkroom")
    app.set_current()


def classify() -> None:
    """Classify the next chunk of whichever job's turn it is."""
    if _process is None:
        raise RuntimeError("this task runs in a process of a Celery worker only")
    try:
        _process.work()
    except Unavailable as error:
        log.warning("a turn was lost: %s", error)


def _start(**_: Any) -> None:
    global _process  # noqa: PLW0603  # a Celery task has no other place to find what its process holds
    from celery import current_app  # noqa: PLC0415  # known only after the fork

    queues = [Queue(name) for name in current_app.amqp.queues.consume_from]
    try:
        _process = WorkerProcess(Services.build(load_settings()), queues)
        _process.start()
    except Exception:
        log.exception("this worker cannot start")
        os.kill(os.getppid(), signal.SIGTERM)
        raise


def _stop(**_: Any) -> None:
    if _process is not None:
        _process.stop()
