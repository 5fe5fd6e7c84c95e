"""The card of an imported model, as far as it is not measured."""

from __future__ import annotations

import os
import sys

from shared.domain.classifier import CIFAR10, Classifier
from shared.domain.errors import InvalidRequest, NotFound
from shared.domain.preprocessing import name_of
from shared.models.import_queue import ModelImport
from shared.training.datasets import CIFAR10_LABELS
from worker.data.datasets import CIFAR10_SETTING, CIFAR10_SHAPE, Dataset, load_cifar10
from worker.importing.files.unpacked import Unpacked
from worker.importing.input_range import InputRange
from worker.importing.scores import Scores
from worker.publishing.publish import Provenance

#: The `preset` on the card of an imported model.
PRESET = "imported"
#: A note about versions that see a part of each picture.
CROPPED = "Pictures are cropped: the network sees the largest part in the middle that has the shape of its input."


def provenance_of(
    unpacked: Unpacked, wanted: ModelImport, labels: tuple[str, ...], used: InputRange, scores: Scores
) -> Provenance:
    """Return where a model comes from, and what was found out about it. Raises InvalidRequest."""
    classifier = _classifier(wanted, labels)
    resize = wanted.resize or unpacked.resize
    return Provenance(
        preset=PRESET,
        params={
            "format": unpacked.format,
            "value_range": name_of(used.preprocessing),
            "value_range_basis": used.basis,
            "softmax_added": scores.added == "softmax",
            "sigmoid_added": scores.added == "sigmoid",
        },
        labels=labels,
        source=wanted.source,
        source_sha256=wanted.sha256,
        owner=classifier.owner,
        classifier=classifier.name,
        preprocessing=used.preprocessing.model_copy(update={"resize": resize}),
        outputs=scores.outputs,
        notes=(used.note, CROPPED, scores.note) if resize == "crop" else (used.note, scores.note),
    )


def _classifier(wanted: ModelImport, labels: tuple[str, ...]) -> Classifier:
    """Return the wanted Classifier; by default CIFAR-10's if the labels are its, else one of the owner's."""
    if wanted.owner is None:
        return CIFAR10
    if wanted.classifier == CIFAR10.name and labels != CIFAR10_LABELS:
        raise InvalidRequest("classifier: cifar10 has other labels than the model: choose another name")
    name = wanted.classifier or (CIFAR10.name if labels == CIFAR10_LABELS else wanted.own)
    return CIFAR10 if name == CIFAR10.name else Classifier(name, wanted.owner)


def cifar10_for(labels: tuple[str, ...], shape: tuple[int, ...]) -> Dataset | None:
    """Return CIFAR-10 if a model with this input is for it and a local copy is set; never download it."""
    if labels != CIFAR10_LABELS or shape != CIFAR10_SHAPE:
        return None
    try:
        return load_cifar10() if CIFAR10_SETTING in os.environ else None
    except (NotFound, InvalidRequest) as error:
        print(f"not measured: {error}", file=sys.stderr)
        return None


def temperature_of(dataset: Dataset | None, scores: Scores) -> float | None:
    """Return the divisor of the logits if the calibration can be measured: imported networks have none."""
    return 1.0 if dataset and scores.outputs == "probabilities" else None
