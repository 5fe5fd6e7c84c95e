"""The Celery tasks, and the start and stop of a worker process."""

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
from shared.domain.errors import ConfigError, Unavailable
from shared.jobs.messenger import CLASSIFY, CLASSIFY_TIMEOUT_S, TRAIN
from shared.services import Services
from shared.settings import load_settings
from worker.runtime.process import WorkerProcess

log = logging.getLogger(__name__)

#: Niceness of processes that classify big jobs, so that they yield the CPU to interactive work.
BULK_NICENESS = 5
#: The worker of this process: created in each child after the fork, None in the parent.
_process: WorkerProcess | None = None


def register(app: Celery) -> None:
    """Register the tasks and the signal handlers with `app`."""
    app.task(name=CLASSIFY, time_limit=CLASSIFY_TIMEOUT_S)(classify)
    app.task(name=TRAIN)(train)
    setup_logging.connect(_configure_logs, weak=False, dispatch_uid="darkroom")
    worker_process_init.connect(_start, weak=False, dispatch_uid="darkroom")
    worker_process_shutdown.connect(_stop, weak=False, dispatch_uid="darkroom")
    app.set_current()


def classify() -> None:
    """Make heatmaps and classify."""
    with _busy_process() as process:
        if process.may_work():
            process.work_on_pictures()


def train() -> None:
    """Compute the report, and then run the training, that has waited longest."""
    with _busy_process() as process:
        if process.may_work():
            process.reports.work()
            process.trainings.work()


@contextmanager
def _busy_process() -> Iterator[WorkerProcess]:
    if _process is None:
        raise RuntimeError("this task runs only in a child process of a Celery worker")
    try:
        with _process.watchdog.busy():
            yield _process
    except Unavailable as error:
        log.warning("the task ended early, the reconciler will send another message: %s", logs.with_cause(error))


def _configure_logs(**_: Any) -> None:
    """Configure our logs: with a receiver on this signal, Celery does not configure its own."""
    logs.configure()


def _start(**_: Any) -> None:
    global _process  # noqa: PLW0603  # a Celery task has no other way to reach the state of its process
    from celery import current_app  # noqa: PLC0415  # known only after the fork

    queues = [Queue(name) for name in current_app.amqp.queues.consume_from]
    try:
        services = Services.build(load_settings())
        if Queue.BULK in queues:
            os.nice(BULK_NICENESS)
        _process = WorkerProcess(services, queues)
        _process.start()
    except Exception as error:
        log.error("this worker cannot start: %s", error, exc_info=not isinstance(error, ConfigError))
        os.kill(os.getppid(), signal.SIGTERM)
        raise SystemExit(1) from error


def _stop(**_: Any) -> None:
    if _process is not None:
        _process.stop()
