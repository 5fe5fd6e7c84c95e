"""The training worker: claims a training job, runs it in a child process and supervises that process."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from shared import logs
from shared.domain.entities import Queue, Training
from shared.domain.errors import Unavailable
from shared.jobs.chunks import LEASE_S
from shared.jobs.trainings import TrainingCommand
from shared.jobs.workers import STORAGE
from shared.services import Services
from shared.training.datasets import CIFAR10
from worker.data.datasets import CIFAR10_SETTING
from worker.serving.lacks import Lacks

log = logging.getLogger(__name__)

#: Seconds between two checks of the job: a cancelled training is killed after at most this long.
POLL_S = 0.5
#: Seconds for a process to exit after it has ended its job.
EXIT_GRACE_S = 2.0


#: For the process of a training. The threads of NumPy's linear algebra wait actively: beside other work, two took ten
#: times as long for a Head as one. TensorFlow does not use them.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}


class Stopping(Exception):
    """This worker received SIGTERM."""


class TrainingSupervisor:
    """Runs trainings one after another, each in a process that can be killed in the middle of a step.

    A step of a big network takes seconds, and Python cannot interrupt it; a process can be killed. Its end also frees
    all memory, and its crash leaves the worker alive.
    """

    def __init__(
        self,
        services: Services,
        renewing: Callable[[Collection[str]], AbstractContextManager[None]],
        name: str,
        lacks: Lacks,
    ) -> None:
        """`renewing` renews the leases of these trainings while its block runs; `name` is the worker's."""
        self._trainings, self._chunks, self._workers = services.trainings, services.chunks, services.workers
        self._renewing, self._name, self._lacks = renewing, name, lacks

    def work(self) -> bool:
        """Run the next training to its end; return False if none is queued, or is better left to another worker.

        Raises Unavailable.
        """
        self._look_for_data()
        has_successor = self._is_data_elsewhere()
        if has_successor and CIFAR10 in self._lacks.untried():
            return False
        training = self._trainings.claim(self._name)
        if training is None:
            return False
        with self._renewing({training.id}), logs.job_context(training.job_id, training.request_id):
            self._run(training, ["--leave-without-data"] if has_successor else [])
        return True

    def _look_for_data(self) -> None:
        """Record whether the file of the training data exists on this machine, if one is set."""
        source = os.environ.get(CIFAR10_SETTING)
        if source and not Path(source).is_file():
            self._lacks.add(CIFAR10, f"{CIFAR10_SETTING} is {source}, which does not exist on this machine")
        elif source:
            self._lacks.remove(CIFAR10)

    def _is_data_elsewhere(self) -> bool:
        """Return whether another live worker runs trainings and does not lack the data, as far as it knows."""
        others = [worker for worker in self._workers.alive() if worker.name != self._name]
        return any(Queue.TRAIN in worker.queues and worker.has(CIFAR10) and worker.has(STORAGE) for worker in others)

    def _run(self, training: Training, options: list[str]) -> None:
        program = [sys.executable, "-m", "worker.training.job"]
        process = subprocess.Popen([*program, training.id, training.job_id, *options], env=os.environ | ONE_THREAD)
        try:
            with stopped_by_sigterm():
                code = self._wait(process, training)
        except Stopping:
            log.info("training %s is returned to the queue: this worker stops", training.job_id)
            code = os.EX_TEMPFAIL
        finally:
            process.kill()
            process.wait()
        self._release(training, code)

    def _wait(self, process: subprocess.Popen[Any], training: Training) -> int:
        """Return the process's exit status, or the one to assume if it must be killed."""
        last_answer = time.monotonic()
        while process.poll() is None:
            try:
                command, last_answer = self._trainings.command(training), time.monotonic()
            except Unavailable:
                is_ours = time.monotonic() - last_answer < LEASE_S  # later, another worker may have claimed it
                command = TrainingCommand.CONTINUE if is_ours else TrainingCommand.LOST
            if command is TrainingCommand.LOST:
                return self._wait_for_exit(process, training)
            if command is TrainingCommand.CANCEL:
                return os.EX_TEMPFAIL
            time.sleep(POLL_S)
        return int(process.returncode)

    def _wait_for_exit(self, process: subprocess.Popen[Any], training: Training) -> int:
        """Return the exit status of a process that has just ended its job, or EX_OK if it has lost the training."""
        try:
            return process.wait(EXIT_GRACE_S)
        except subprocess.TimeoutExpired:
            log.warning("training %s belongs to another worker now", training.job_id)
            return os.EX_OK

    def _release(self, training: Training, code: int) -> None:
        """Return the training to the queue if its process did not end the job; a crash counts against it."""
        if code == os.EX_NOINPUT:
            log.warning("training %s is left to other workers: this machine lacks the data", training.job_id)
            self._lacks.add(CIFAR10, f"CIFAR-10 is missing here or damaged, see the log; set {CIFAR10_SETTING}")
        elif code != os.EX_OK:
            log.warning("the process of training %s exited with status %d", training.job_id, code)
        if code != os.EX_OK:
            self._chunks.release(training.id, died=code not in (os.EX_TEMPFAIL, os.EX_NOINPUT))


@contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """Raise Stopping in the block on SIGTERM."""

    def stop(*_: Any) -> None:
        raise Stopping

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
