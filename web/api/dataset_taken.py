"""Pictures of a classification job, taken into a dataset."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from flask import Blueprint, Response, request
from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.access.api_keys import Scope
from shared.domain.entities import JOB_ID_PATTERN, Item, Job, JobKind
from shared.domain.errors import Fault, InvalidRequest, NotFound
from shared.jobs.store import job_not_found
from web.api.datasets import dataset_id
from web.api.jobs import ACCEPTED, WAITED_FOR, submitted
from web.auth.access import allow, may_see
from web.openapi.operation import JSON, operation
from web.schemas.requests import json_body
from web.schemas.serializers import labels_of
from web.state import caller, services
from web.uploads.taken_pictures import chosen_items, matching_items, take

blueprint = Blueprint("dataset_taken", __name__, url_prefix="/v1/datasets")

#: Items that can be named by key in one request.
MAX_KEYS = 1000


class TakenPictures(BaseModel):
    """Which items of a job to take: some by key, the corrected ones, or those with a label."""

    model_config = ConfigDict(extra="forbid")

    job: str = Field(pattern=f"^{JOB_ID_PATTERN.pattern}$")
    items: list[Annotated[str, Field(max_length=128)]] | None = Field(None, min_length=1, max_length=MAX_KEYS)
    corrected: Literal[True] | None = None
    label: str | None = Field(None, max_length=200, description="A label of the job.")
    labelled: bool = Field(
        default=True, description="Whether the pictures get their corrected or else predicted label, or none."
    )

    @model_validator(mode="after")
    def _one_choice(self) -> Self:
        if sum(choice is not None for choice in (self.items, self.corrected, self.label)) != 1:
            raise ValueError("give either items, or corrected, or a label")
        return self


@blueprint.post("/<dataset>/pictures")
@allow(Scope.TRAIN)
@operation(
    {202: ACCEPTED, 200: WAITED_FOR},
    body={JSON: TakenPictures},
    headers=["Prefer"],
    examples={JSON: {"job": "9d2b0c9a4cb34fb0a3a1f5e0c7d8e9fa", "corrected": True}},
)
def create(dataset: str) -> Response:
    """Take classified pictures of a job into the dataset. The answer is an import.

    Each picture gets its corrected label, or else the predicted one, or with `labelled: false` none. Its bytes are
    copied, so the job can be deleted.
    """
    wanted, found = json_body(TakenPictures, request), services().datasets.get(dataset_id(dataset))
    job = _job(wanted.job)
    names = labels_of(job, services().registry)
    items = _items(job, wanted, names)
    labels = names if wanted.labelled else ()
    return submitted(take(services(), found, job, items, labels=labels, owner=caller().owner))


def _items(job: Job, wanted: TakenPictures, names: tuple[str, ...]) -> list[Item]:
    if wanted.items is not None:
        return chosen_items(services(), job, wanted.items)
    if wanted.label is None:
        return matching_items(services(), job, None)
    if wanted.label not in names:
        raise _wrong("/label", f"the job has no label {wanted.label!r}; its labels are: {', '.join(names)[:500]}")
    return matching_items(services(), job, names.index(wanted.label))


def _job(job_id: str) -> Job:
    """Return a classification job that the caller can see. Raise InvalidRequest."""
    try:
        job = services().store.get(job_id)
        if not may_see(job):
            raise job_not_found(job_id)
    except NotFound as error:
        raise _wrong("/job", str(error)) from error
    if job.kind is not JobKind.CLASSIFICATION:
        raise _wrong("/job", f"job {job_id} is not a classification: it is a {job.kind} job")
    return job


def _wrong(pointer: str, detail: str) -> InvalidRequest:
    return InvalidRequest(detail, [Fault(pointer, detail)])
