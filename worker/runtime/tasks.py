"""The tasks that messages name, and what a worker process does when it starts and stops."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery
from celery.signals import setup_logging, worker_process_init, worker_process_shutdown

from shared import logs
from shared.domain.entities import Queue
from shared.domain.errors import Unavailable
from shared.jobs.messenger import CLASSIFY, CLASSIFY_TIMEOUT_S, TRAIN
from shared.services import Services
from shared.settings import load_settings
from worker.presets.announce import announce
from worker.runtime.process import WorkerProcess
from worker.training.supervisor import TrainingSupervisor

log = logging.getLogger(__name__)

#: Added to the niceness of processes that classify big jobs: nobody waits for their next chunk as for a small job.
BULK_NICENESS = 5
#: This process's worker: one in each child, made after the fork, none in the parent.
_process: WorkerProcess | None = None


def register(app: Celery) -> None:
    """Add the tasks to `app`, and let its processes set themselves up."""
    app.task(name=CLASSIFY, time_limit=CLASSIFY_TIMEOUT_S)(classify)
    app.task(name=TRAIN)(train)
    setup_logging.connect(_configure_logs, weak=False, dispatch_uid="darkroom")
    worker_process_init.connect(_start, weak=False, dispatch_uid="darkroom")
    worker_process_shutdown.connect(_stop, weak=False, dispatch_uid="darkroom")
    app.set_current()


def classify() -> None:
    """Classify the next chunk of whichever job's turn it is."""
    with _turn() as process:
        process.work()


def train() -> None:
    """Run the training that waits longest."""
    with _turn() as process:
        TrainingSupervisor(process.services, process.heartbeat.renewing, process.name).work()


@contextmanager
def _turn() -> Iterator[WorkerProcess]:
    if _process is None:
        raise RuntimeError("this task runs in a process of a Celery worker only")
    try:
        with _process.watchdog.busy():
            yield _process
    except Unavailable as error:
        log.warning("a turn was lost: %s", error)


def _configure_logs(**_: Any) -> None:
    """Instead of Celery's own way, which it leaves where somebody listens to this signal."""
    logs.configure()


def _start(**_: Any) -> None:
    global _process  # noqa: PLW0603  # a Celery task has no other place to find what its process holds
    from celery import current_app  # noqa: PLC0415  # known only after the fork

    queues = [Queue(name) for name in current_app.amqp.queues.consume_from]
    try:
        services = Services.build(load_settings())
        if Queue.BULK in queues:
            os.nice(BULK_NICENESS)
        if Queue.TRAIN in queues:
            announce(services)
        _process = WorkerProcess(services, queues)
        _process.start()
    except Exception:
        log.exception("this worker cannot start")
        os.kill(os.getppid(), signal.SIGTERM)
        raise


def _stop(**_: Any) -> None:
    if _process is not None:
        _process.stop()
