"""Publish a Head that has learnt from a Dataset, with its figures on the Dataset's test pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import worker
from shared.domain.card import SNAPSHOT_FILE, DatasetInfo, Epoch, ModelCard
from shared.domain.entities import Job
from shared.models.registry import Registry
from shared.training.params import parse
from worker.datasets.snapshot import pack
from worker.evaluation import evaluate
from worker.publishing.publish import Provenance, write_answers, write_indices
from worker.publishing.publish_head import publish_head
from worker.training.head import LearntHead

#: Sources in `worker/` that determine the result.
SOURCES = (
    "data/decode.py",
    "datasets/snapshot.py",
    "evaluation/evaluate.py",
    "heads/fit.py",
    "heads/folds.py",
    "heads/methods.py",
    "heads/trials.py",
    "serving/head.py",
    "training/head.py",
)


def publish_learnt(
    learnt: LearntHead,
    registry: Registry,
    job: Job,
    out: Path,
    *,
    more: Mapping[str, str] | None = None,
    history: tuple[Epoch, ...] = (),
) -> ModelCard:
    """Publish the Head of a job as the folder `out`/<version> and return its card.

    The card gets `more` parameters, and the history of a training that did not do better.
    """
    frozen, fitted, params = learnt.frozen, learnt.fitted, parse(job.params)
    metrics = calibration = None
    if frozen.test.any():
        truth = frozen.truth[frozen.test]
        probabilities = fitted.head.probabilities(learnt.vectors[frozen.test])
        metrics = evaluate.measure(probabilities, truth, frozen.labels)
        calibration = evaluate.calibration(probabilities, truth, fitted.temperature)
    provenance = Provenance(
        preset=params.preset,
        params={"method": fitted.chosen.method, **({"views": learnt.views} if learnt.views else {}), **(more or {})},
        history=history,
        labels=frozen.labels,
        seed=params.seed,
        code_version=code_version(),
        training_seconds=learnt.seconds,
        owner=job.owner,
        classifier=params.dataset,
    )
    test = int(frozen.test.sum())
    dataset = DatasetInfo(
        name=params.dataset,
        id=frozen.dataset,
        revision=frozen.revision,
        digest=frozen.digest,
        train=len(frozen.numbers) - test,
        validation=0,
        test=test,
    )
    card = publish_head(
        fitted.head,
        learnt.backbone,
        registry,
        provenance,
        out,
        metrics=metrics,
        calibration=calibration,
        unknown=fitted.unknown,
        dataset=dataset,
    )
    folder = out / card.version
    (folder / SNAPSHOT_FILE).write_bytes(pack(frozen))
    if metrics is not None:
        novelty = fitted.head.novelty(learnt.vectors[frozen.test])
        write_indices(folder, probabilities.argmax(axis=1), truth, len(frozen.labels))
        write_answers(folder, frozen.numbers[frozen.test], truth, probabilities, novelty)
    return card


def code_version() -> str:
    """Return `src-` and the first 12 hex digits of the sha256 of SOURCES."""
    here = Path(worker.__file__).parent
    return "src-" + hashlib.sha256(b"".join((here / name).read_bytes() for name in SOURCES)).hexdigest()[:12]
