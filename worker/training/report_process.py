"""The process that computes a report: `python -m worker.training.report_process DATASET`, started by its supervisor.

Exit status: 0 if the report is stored or no longer wanted, EX_TEMPFAIL to try it again; any other is a crash.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from contextlib import closing

from shared import logs
from shared.datasets.report import read_report
from shared.domain.classifier import EVERYDAY
from shared.domain.errors import NotFound, StorageFull, Unavailable
from shared.services import Services
from shared.settings import load_settings
from worker.datasets.snapshot import DatasetGone, TooFewPictures, learnable
from worker.serving.forward import ModelUnusable
from worker.training.head import learn
from worker.training.job import NICENESS, exit_with_parent
from worker.training.report import report_on, report_without_labels
from worker.training.report_basis import Basis, read_basis

log = logging.getLogger("darkroom.report")


def compute(services: Services, dataset: str) -> int:
    """Compute the report on a Dataset, unless there is one of its present revision; return the exit status."""
    try:
        report = read_report(services.blobs, dataset)
        if report is None or report[0].revision != services.datasets.revision(dataset):
            _compute(services, dataset)
    except (NotFound, DatasetGone):
        log.info("dataset %s is deleted and needs no report", dataset)
    except (Unavailable, StorageFull) as error:
        log.warning("the report on dataset %s must wait: %s", dataset, logs.with_cause(error))
        return os.EX_TEMPFAIL
    return os.EX_OK


def _compute(services: Services, dataset: str) -> None:
    try:
        basis = read_basis(services.blobs, dataset)
        frozen = learnable(services.dataset_pictures, dataset)
        learnt = learn(services, frozen, seed=0, network=_backbone(services, basis), basis=basis)
    except (TooFewPictures, ModelUnusable) as error:
        report_without_labels(services, dataset, str(error))
    else:
        report_on(services, learnt)


def _backbone(services: Services, basis: Basis | None) -> str:
    """Return the Backbone of the last training, so that its choices can be taken over, or the usual one."""
    return basis.backbone if basis and services.registry.exists(basis.backbone) else EVERYDAY.name


def main() -> int:
    """Compute the report on the Dataset of the command line and return the exit status."""
    threading.Thread(target=exit_with_parent, args=(os.getppid(),), name="parent-check", daemon=True).start()
    logs.configure()
    os.nice(NICENESS)
    with closing(Services.build(load_settings())) as services:
        return compute(services, sys.argv[1])


if __name__ == "__main__":
    sys.exit(main())
