"""The datasets of trainings, and which corrected pictures are added to one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from shared.jobs.corrections import Correction

#: CIFAR-10, without and with the pictures that the owner of the training has corrected.
CIFAR10: Final = "cifar10"
WITH_CORRECTIONS: Final = "cifar10+corrections"

#: The labels of CIFAR-10 by index.
CIFAR10_LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

#: Corrected pictures that a training needs: of fewer, too few would be held out.
MIN_CORRECTIONS = 8

#: One corrected picture in this many is held out.
HELD_OUT_OF = 4


@dataclass(frozen=True)
class CorrectedPicture:
    """A picture to train or to test on: a job that stores it, and as what, its digest, and the index of its label."""

    job_id: str
    sha256: str
    label: int
    stored_as: str


def corrected_pictures(
    corrections: Iterable[Correction], labels: Sequence[str] = CIFAR10_LABELS
) -> list[CorrectedPicture]:
    """Return each corrected picture once, sorted by digest.

    Leave out those with two different labels, and those whose label is not one of `labels`.
    """
    labelled: dict[str, dict[str, Correction]] = {}
    for each in corrections:
        labelled.setdefault(each.sha256, {})[each.label] = each
    return [
        CorrectedPicture(each.job_id, sha256, labels.index(label), each.stored_as)
        for sha256, found in sorted(labelled.items())
        for label, each in found.items()
        if len(found) == 1 and label in labels
    ]


def is_held_out(sha256: str) -> bool:
    """Return whether no training may learn from a picture. It follows from the digest, so it never changes."""
    return int(sha256[:8], 16) % HELD_OUT_OF == 0


def too_few_corrections(count: int) -> str:
    """Return the error text for `count` corrected pictures, without a full stop."""
    return f"{count} corrected pictures, but a training needs {MIN_CORRECTIONS}: correct more, or train on {CIFAR10}"
