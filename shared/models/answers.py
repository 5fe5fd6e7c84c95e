"""What a version answered to each test picture of its Dataset, packed in ANSWERS_FILE: 16 bytes a picture."""

from __future__ import annotations

import math
import struct
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from shared.domain.card import Unknown

#: Number of the picture, indices of its Label and of the answer, score, novelty (NaN: none).
RECORD = struct.Struct("<IHHff")
#: Scores at which `thresholds` counts, besides that of the version: 0.00 to 0.99.
STEPS = 100


class Answered(NamedTuple):
    """A test picture, by its number in the Dataset, and the best answer.

    `label` is the index of the picture's Label when the version was made, `answer` that of the answer, with its
    `score`. `novelty` is the distance to the nearest training picture, None if the version has none.
    """

    n: int
    label: int
    answer: int
    score: float
    novelty: float | None

    @property
    def right(self) -> bool:
        """Return whether the answer is the picture's Label."""
        return self.answer == self.label


class Threshold(NamedTuple):
    """How many test pictures get an answer if it needs at least this score, and how many of these are right."""

    score: float
    answered: int
    right: int


@dataclass(frozen=True)
class AnswerFilter:
    """A filter of answers; None matches everything. `label` and `answer` are indices."""

    label: int | None = None
    answer: int | None = None
    right: bool | None = None

    def matches(self, found: Answered) -> bool:
        """Return whether the answer matches."""
        return (
            self.label in (None, found.label)
            and self.answer in (None, found.answer)
            and self.right in (None, found.right)
        )


def pack_answers(answers: Iterable[Answered]) -> bytes:
    """Return answers as bytes."""
    return b"".join(RECORD.pack(*found[:-1], math.nan if found.novelty is None else found.novelty) for found in answers)


def unpack_answers(content: bytes) -> list[Answered]:
    """Return the answers in the result of `pack_answers`."""
    return [
        Answered(n, label, answer, score, None if math.isnan(novelty) else novelty)
        for n, label, answer, score, novelty in RECORD.iter_unpack(content)
    ]


def surest_first(answers: Iterable[Answered]) -> list[Answered]:
    """Return answers with the highest scores first."""
    return sorted(answers, key=lambda found: (-found.score, found.n))


def thresholds(answers: Sequence[Answered], unknown: Unknown | None) -> list[Threshold]:
    """Return counts at scores in steps of 0.01, and at the version's own score, by score.

    Pictures that are too unlike the training pictures by the version's rule get no answer at any score.
    """
    near = [found for found in answers if not (unknown and unknown.too_far(found.novelty))]
    scores = sorted(found.score for found in near)
    right = sorted(found.score for found in near if found.right)
    steps = {step / STEPS for step in range(STEPS)} | ({unknown.score} if unknown else set())
    return [
        Threshold(step, len(scores) - bisect_left(scores, step), len(right) - bisect_left(right, step))
        for step in sorted(steps)
    ]
