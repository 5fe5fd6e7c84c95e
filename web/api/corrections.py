"""`/v1/corrections`: how many corrected pictures there are to train on. Correcting is the labels' part of a job."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from flask import Blueprint, Response, jsonify
from pydantic import Field
from typing_extensions import TypedDict

from shared.training.datasets import CIFAR10_LABELS, LEAST_CORRECTIONS, corrected_pictures
from web.auth.access import ANY_KEY, allow
from web.openapi.operation import Answer, operation
from web.schemas import responses
from web.state import caller, services

blueprint = Blueprint("corrections", __name__)


class CorrectedPictures(TypedDict):
    """The corrected pictures that a training of the caller would learn from and be judged by, each counted once."""

    total: responses.Count
    needed: Annotated[responses.Count, Field(description="with fewer, a training on them is refused")]
    per_label: dict[str, responses.Count]


@blueprint.get("/v1/corrections")
@allow(ANY_KEY)
@operation({200: Answer(CorrectedPictures)})
def corrections() -> Response:
    """How many pictures the caller has corrected, by the label that they were given.

    What is in several jobs counts once, and not at all where it was given two labels, or one that CIFAR-10 has not.
    """
    counts = Counter(picture.label for picture in corrected_pictures(services().corrections.all(caller().owner)))
    per_label = {label: counts[index] for index, label in enumerate(CIFAR10_LABELS)}
    return jsonify({"total": counts.total(), "needed": LEAST_CORRECTIONS, "per_label": per_label})
