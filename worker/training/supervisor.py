"""The train worker's turn: claim a training job, run it in a process of its own, and watch over both."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from shared import logs
from shared.domain.entities import Training
from shared.domain.errors import Unavailable
from shared.jobs.chunks import LEASE_S
from shared.jobs.trainings import TrainingCommand
from shared.services import Services

log = logging.getLogger(__name__)

#: Seconds between two looks at the job: a cancelled training is gone after this and the moment that killing takes.
LOOK_S = 0.5
#: Seconds in which a process that has ended its job must be gone.
LAST_WORDS_S = 2.0


class Stopping(Exception):
    """This worker was told to stop (SIGTERM)."""


class TrainingSupervisor:
    """Runs trainings one after the other, each in a process that can be killed within a step.

    A step of a big network takes seconds, in which Python cannot be interrupted; a process can. It also gives back all
    memory, and takes nothing with it when it crashes.
    """

    def __init__(self, services: Services, holding: Callable[[str], AbstractContextManager[None]], name: str) -> None:
        """`holding` renews the lease of the training with that id while its block runs; `name` is the worker's."""
        self._services, self._holding, self._name = services, holding, name

    def work(self) -> bool:
        """Claim a training and bring it to its end; False where none waits. Raises Unavailable."""
        training = self._services.trainings.claim(self._name)
        if training is None:
            return False
        with self._holding(training.id), logs.job_context(training.job_id, training.request_id):
            self._run(training)
        return True

    def _run(self, training: Training) -> None:
        process = subprocess.Popen([sys.executable, "-m", "worker.training.job", training.id, training.job_id])
        try:
            with _stopped_by_sigterm():
                code = self._wait(process, training)
        except Stopping:
            log.info("training %s goes back: this worker stops", training.job_id)
            code = os.EX_TEMPFAIL
        finally:
            process.kill()
            process.wait()
        self._settle(training, code)

    def _wait(self, process: subprocess.Popen[Any], training: Training) -> int:
        """Return how the process ended, or, where it must not go on, how it is to be taken."""
        heard = time.monotonic()
        while process.poll() is None:
            try:
                order, heard = self._services.trainings.command(training), time.monotonic()
            except Unavailable:
                is_ours = time.monotonic() - heard < LEASE_S  # later, another worker may have claimed it
                order = TrainingCommand.CONTINUE if is_ours else TrainingCommand.LOST
            if order is TrainingCommand.LOST:
                return self._last_words(process, training)
            if order is TrainingCommand.CANCEL:
                return os.EX_TEMPFAIL
            time.sleep(LOOK_S)
        return int(process.returncode)

    def _last_words(self, process: subprocess.Popen[Any], training: Training) -> int:
        """Wait a moment for a process that has just ended its job; what has lost the training is killed after it."""
        try:
            return process.wait(LAST_WORDS_S)
        except subprocess.TimeoutExpired:
            log.warning("training %s is no longer ours", training.job_id)
            return os.EX_OK

    def _settle(self, training: Training, code: int) -> None:
        """Give the training back where its process did not end its job; a death counts against it."""
        if code != os.EX_OK:
            log.warning("the process of training %s ended with %d", training.job_id, code)
            self._services.chunks.release(training.id, died=code != os.EX_TEMPFAIL)


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise Stopping

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
