"""Labels of a job: count them, and correct wrong ones."""

from __future__ import annotations

from typing import Annotated

from flask import Blueprint, Response, jsonify, request
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from shared.datasets.names import MAX_LABEL
from shared.domain import json_pointer
from shared.domain.entities import Job, JobKind
from shared.domain.errors import Conflict, Fault, InvalidRequest
from shared.jobs.corrections import LabelCount
from web.auth.access import ANY_KEY, JOB_SCOPE, allow
from web.openapi.operation import JSON, Answer, operation
from web.schemas import responses
from web.schemas.requests import json_body
from web.schemas.serializers import item_json, labels_of
from web.state import services

blueprint = Blueprint("labels", __name__, url_prefix="/v1/jobs")

#: Most items in one request, and bytes of its body: enough for keys and labels of the greatest length, even if each
#: character of a label is written as twelve.
MAX_LABELS, MAX_BODY_BYTES = 250, 1024 * 1024

Name = Annotated[str, Field(max_length=MAX_LABEL)]


class NewLabel(BaseModel):
    """`PUT /v1/jobs/{id}/items/{item}/label`."""

    model_config = ConfigDict(extra="forbid")

    label: Name | None


class NewLabels(BaseModel):
    """`POST /v1/jobs/{id}/labels`: labels by item key; null removes a correction."""

    model_config = ConfigDict(extra="forbid")

    labels: dict[str, Name | None] = Field(min_length=1, max_length=MAX_LABELS)


class CountedLabel(TypedDict):
    """A label and the number of items with it."""

    index: responses.Count
    label: str
    count: responses.Count
    corrected: Annotated[responses.Count, Field(description="How many of these were corrected to this label.")]


class LabelCounts(TypedDict):
    """All labels of the job's model."""

    data: list[CountedLabel]
    unknown: Annotated[responses.Count, Field(description="Items whose answer is unknown; they count under no label.")]


class CorrectedItems(TypedDict):
    """The corrected items, in the order of the request."""

    data: list[responses.Item]


@blueprint.get("/<job_id>/labels")
@allow(ANY_KEY)
@operation({200: Answer(LabelCounts)}, problems=[409])
def labels(job_id: str) -> Response:
    """Count the classified items by label.

    A corrected item counts under its corrected label.
    """
    job = _classification(job_id)
    counts = services().corrections.counts(job_id)
    data = [
        {"index": index, "label": name, "count": found.count, "corrected": found.corrected}
        for index, name in enumerate(labels_of(job, services().registry))
        for found in [counts.get(index, LabelCount())]
    ]
    return jsonify({"data": data, "unknown": services().corrections.unknown(job_id)})


@blueprint.post("/<job_id>/labels")
@allow(JOB_SCOPE)
@operation({200: Answer(CorrectedItems)}, body={JSON: NewLabels}, examples={JSON: {"labels": {"000001": "cat"}}})
def correct_many(job_id: str) -> Response:
    """Correct the labels of many items.

    Either all items are corrected or none.
    """
    wanted = json_body(NewLabels, request, MAX_BODY_BYTES).labels
    job = _classification(job_id)
    _correct(job, {key: (label, f"/labels/{json_pointer.escape(key)}") for key, label in wanted.items()})
    return jsonify({"data": [_item(job, key) for key in wanted]})


@blueprint.put("/<job_id>/items/<key>/label")
@allow(JOB_SCOPE)
@operation({200: Answer(responses.Item)}, body={JSON: NewLabel}, examples={JSON: {"label": "cat"}}, problems=[409])
def correct(job_id: str, key: str) -> Response:
    """Correct the label of an item.

    The item must be classified. With null, the correction is removed.
    """
    label = json_body(NewLabel, request).label
    job = _classification(job_id)
    _correct(job, {key: (label, "/label")})
    return jsonify(_item(job, key))


@blueprint.delete("/<job_id>/items/<key>/label")
@allow(JOB_SCOPE)
@operation({200: Answer(responses.Item)}, problems=[409])
def uncorrect(job_id: str, key: str) -> Response:
    """Remove the correction of an item, if there is one."""
    job = _classification(job_id)
    _correct(job, {key: (None, "")})
    return jsonify(_item(job, key))


def _classification(job_id: str) -> Job:
    """Return the job. Raise NotFound, or Conflict if it is not a classification job."""
    job = services().store.get(job_id)
    if job.kind is not JobKind.CLASSIFICATION:
        raise Conflict(f"job {job_id} has no labels: it is a {job.kind} job")
    return job


def _correct(job: Job, wanted: dict[str, tuple[str | None, str]]) -> None:
    """Correct items: `wanted` has the label and its JSON pointer in the request by item key.

    Raise InvalidRequest with a fault for each unknown label.
    """
    names = labels_of(job, services().registry)
    wrong = {pointer: name for name, pointer in wanted.values() if name is not None and name not in names}
    if wrong:
        faults = [
            Fault(pointer, f"unknown label {name!r}; use one of: {', '.join(names)}") for pointer, name in wrong.items()
        ]
        raise InvalidRequest(f"the job's model has no label {', '.join(map(repr, wrong.values()))}", faults)
    indices = {key: None if name is None else names.index(name) for key, (name, _) in wanted.items()}
    services().corrections.put(job.id, indices)


def _item(job: Job, key: str) -> responses.Item:
    return item_json(services().store.item(job.id, key), labels_of(job, services().registry), job)
