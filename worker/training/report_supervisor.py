"""The supervisor of reports: claims one, runs it in a child process and renews its lease."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

from shared.domain.errors import NotFound, Unavailable
from shared.services import Services
from worker.training.report import report_without_labels
from worker.training.supervisor import Stopping, stopped_by_sigterm

log = logging.getLogger(__name__)

#: Seconds between two renewals of the lease, and seconds after which a computation is killed.
RENEW_S, TIMEOUT_S = 5.0, 1800
#: Claims of one report before it is given up until the Dataset changes.
MAX_CLAIMS = 3


class ReportSupervisor:
    """Computes reports, each in a process that ends with its memory."""

    def __init__(self, services: Services) -> None:
        self._services, self._queue = services, services.reports

    def work(self) -> bool:
        """Compute the next report; return False if none is due. Raise Unavailable."""
        claimed = self._queue.claim()
        if claimed is None:
            return False
        dataset, claims = claimed
        if claims > MAX_CLAIMS:
            log.error("the report on dataset %s is given up after %d crashes", dataset, MAX_CLAIMS)
            with suppress(NotFound):
                report_without_labels(self._services, dataset, f"the computation crashed {MAX_CLAIMS} times.")
            self._queue.finish(dataset)
            return True
        code = self._run(dataset)
        if code == os.EX_OK:
            self._queue.finish(dataset)
        elif code == os.EX_TEMPFAIL:
            self._queue.give_back(dataset)
        else:
            log.warning("the process of the report on dataset %s exited with status %d", dataset, code)
        return True

    def _run(self, dataset: str) -> int:
        """Return the exit status of the process, or the one to assume if it must be killed."""
        process = subprocess.Popen([sys.executable, "-m", "worker.training.report_process", dataset])
        try:
            with stopped_by_sigterm():
                return self._wait(process, dataset)
        except Stopping:
            return os.EX_TEMPFAIL
        finally:
            process.kill()
            process.wait()

    def _wait(self, process: subprocess.Popen[Any], dataset: str) -> int:
        end = time.monotonic() + TIMEOUT_S
        while time.monotonic() < end:
            with suppress(subprocess.TimeoutExpired):
                return process.wait(RENEW_S)
            with suppress(Unavailable):
                self._queue.renew(dataset)
        return os.EX_SOFTWARE
