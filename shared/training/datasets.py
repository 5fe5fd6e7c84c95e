"""What can be trained on: the names of the data sets, and which corrected pictures go beside one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from shared.jobs.corrections import Correction

#: CIFAR-10 alone, and with the pictures that the owner of the training has corrected.
CIFAR10: Final = "cifar10"
WITH_CORRECTIONS: Final = "cifar10+corrections"

#: Class names of CIFAR-10 at their index.
CIFAR10_LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

#: Corrected pictures that a training needs: of fewer, too few would be left to judge by.
LEAST_CORRECTIONS = 8

#: One of so many corrected pictures is held out to judge by.
HELD_OUT_OF = 4


@dataclass(frozen=True)
class CorrectedPicture:
    """A picture to learn from or to judge by: a job that has it, its digest, and the index of its label."""

    job_id: str
    sha256: str
    label: int


def corrected_pictures(
    corrections: Iterable[Correction], labels: Sequence[str] = CIFAR10_LABELS
) -> list[CorrectedPicture]:
    """Each corrected picture once, in the order of the digests.

    Left out is what was corrected to a label that is none of `labels`, and what was given two different ones.
    """
    said: dict[str, dict[str, str]] = {}
    for each in corrections:
        said.setdefault(each.sha256, {})[each.label] = each.job_id
    return [
        CorrectedPicture(job_id, sha256, labels.index(label))
        for sha256, jobs in sorted(said.items())
        for label, job_id in jobs.items()
        if len(jobs) == 1 and label in labels
    ]


def held_out(sha256: str) -> bool:
    """Whether a picture is judged by and never learnt from: that follows from its bytes, so no training differs."""
    return int(sha256[:8], 16) % HELD_OUT_OF == 0


def too_few(count: int) -> str:
    """The sentence for so few corrected pictures."""
    return (
        f"{count} corrected pictures can be learnt from, and it takes {LEAST_CORRECTIONS}: correct more of them, "
        f"or train on {CIFAR10}"
    )
