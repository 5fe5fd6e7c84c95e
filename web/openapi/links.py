"""OpenAPI links: from a response to the calls that take ids from it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from web.openapi.calls import Call
from web.openapi.operation import Answer
from web.schemas import datasets, responses

JOB = {"job_id": "$response.body#/id"}
ITEM = {"job_id": "$request.path.job_id", "key": "$response.body#/data/0/key"}
#: Response types, and where they hold the path parameters of other calls.
SOURCES: list[tuple[Any, dict[str, str]]] = [
    (responses.Job, JOB),
    (responses.FinishedJob, JOB),
    (responses.AddedItems, ITEM),
    (responses.ResultPage, ITEM),
    (responses.ClassifierList, {"name": "$response.body#/data/0/name"}),
    (datasets.Dataset, {"dataset": "$response.body#/name"}),
    (
        datasets.DatasetPicturePage,
        {"dataset": "$request.path.dataset", "number": "$response.body#/data/0/id"},
    ),
    (datasets.DatasetLabel, {"dataset": "$request.path.dataset", "label": "$response.body#/name"}),
    (responses.ModelList, {"version": "$response.body#/data/0/version"}),
]


def links(answer: Answer, call: Call, calls: Iterable[Call]) -> dict[str, Any]:
    """Return the links of one response of `call`, if it holds path parameters that its own path does not have."""
    parameters = next((places for shape, places in SOURCES if shape is answer.shape), {})
    if not set(parameters) > set(call.arguments):
        return {}
    others = (other.id for other in calls if set(other.arguments) == set(parameters))
    return {name: {"operationId": name, "parameters": parameters} for name in others}
