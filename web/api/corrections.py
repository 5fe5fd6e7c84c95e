"""Corrections: count the corrected pictures that a training can use."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from flask import Blueprint, Response, jsonify
from pydantic import Field
from typing_extensions import TypedDict

from shared.training.datasets import CIFAR10_LABELS, MIN_CORRECTIONS, corrected_pictures
from web.auth.access import ANY_KEY, allow
from web.openapi.operation import Answer, operation
from web.schemas import responses
from web.state import caller, services

blueprint = Blueprint("corrections", __name__)


class CorrectedPictures(TypedDict):
    """The caller's corrected pictures that a training would use, each counted once."""

    total: responses.Count
    needed: Annotated[responses.Count, Field(description="Least number of corrected pictures that a training needs.")]
    per_label: dict[str, responses.Count]


@blueprint.get("/v1/corrections")
@allow(ANY_KEY)
@operation({200: Answer(CorrectedPictures)})
def corrections() -> Response:
    """Count the caller's corrected pictures by label.

    A picture in several jobs counts once. Pictures with two different labels, or with a label that CIFAR-10 does not
    have, do not count.
    """
    counts = Counter(picture.label for picture in corrected_pictures(services().corrections.all(caller().owner)))
    per_label = {label: counts[index] for index, label in enumerate(CIFAR10_LABELS)}
    return jsonify({"total": counts.total(), "needed": MIN_CORRECTIONS, "per_label": per_label})
