"""What only training jobs have: metrics, and finishing early."""

from __future__ import annotations

from typing import Annotated

from flask import Blueprint, Response, jsonify, request
from pydantic import Field
from typing_extensions import TypedDict

from web.api.jobs import STOPPED, job_response
from web.auth.access import ANY_KEY, JOB_SCOPE, allow
from web.openapi.operation import Answer, operation
from web.schemas import responses
from web.schemas.requests import MAX_LIMIT, Query, query
from web.state import services

blueprint = Blueprint("trainings", __name__, url_prefix="/v1/jobs")


class MetricsQuery(Query):
    """`GET /v1/jobs/{id}/metrics`."""

    after: int = Field(0, ge=0, le=2**31)
    limit: int = Field(MAX_LIMIT, ge=1, le=MAX_LIMIT)


class MetricsRow(TypedDict):
    """One row of metrics, after each group of steps and after each epoch."""

    n: Annotated[int, Field(ge=1, description="counts the rows")]
    epoch: Annotated[int, Field(ge=1)]
    step: responses.Count
    steps: Annotated[responses.Count, Field(description="planned")]
    loss: Annotated[float, Field(description="mean since the row before, in nats; so is `accuracy`")]
    accuracy: responses.Share
    val_loss: Annotated[float | None, Field(description="at the end of an epoch; so is `val_accuracy`")]
    val_accuracy: responses.Share | None
    lr: Annotated[float, Field(description="learning rate")]
    images_per_s: float
    at: responses.Timestamp


class MetricsPage(TypedDict):
    """A page of rows, in order."""

    data: list[MetricsRow]
    next: Annotated[responses.Count, Field(description="the number to ask after in the next call")]


@blueprint.get("/<job_id>/metrics")
@allow(ANY_KEY)
@operation({200: Answer(MetricsPage)}, query=MetricsQuery, problems=[409])
def metrics(job_id: str) -> Response:
    """List the rows after row number `after`. Send `next` as `after` in your next call."""
    asked = query(MetricsQuery, request)
    rows = services().trainings.rows(job_id, asked.after, asked.limit)
    return jsonify({"data": rows, "next": asked.after + len(rows)})


@blueprint.post("/<job_id>/finish")
@allow(JOB_SCOPE)
@operation(STOPPED)
def finish(job_id: str) -> Response:
    """Finish a training early and keep the best model so far."""
    asked = services().trainings.finish(job_id)
    return job_response(services().store.get(job_id), 202 if asked else 200, conditional=False)
