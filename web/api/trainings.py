"""What training jobs have beside other jobs: how they are made, their rows, and an early end."""

from __future__ import annotations

from flask import Response, jsonify, request
from pydantic import Field

from web.api.jobs import blueprint, job_response
from web.api.requests import MAX_LIMIT, Query, query, services


class MetricsQuery(Query):
    """`GET /v1/jobs/{id}/metrics`."""

    after: int = Field(0, ge=0, le=2**31)
    limit: int = Field(MAX_LIMIT, ge=1, le=MAX_LIMIT)


@blueprint.get("/<job_id>/metrics")
def metrics(job_id: str) -> Response:
    """The rows behind row number `after`; `next` is the number to ask after in the next call."""
    asked = query(MetricsQuery, request)
    rows = services().trainings.rows(job_id, asked.after, asked.limit)
    return jsonify({"data": rows, "next": asked.after + len(rows)})


@blueprint.post("/<job_id>/finish")
def finish(job_id: str) -> Response:
    """End the training early and keep the best model so far."""
    asked = services().trainings.finish(job_id)
    return job_response(services().store.get(job_id), 202 if asked else 200, conditional=False)
