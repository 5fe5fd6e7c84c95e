"""Results of a job: pages of finished items."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from shared.domain.errors import Fault, InvalidRequest
from shared.jobs.results import Filter
from web.api.paging import linked
from web.auth.access import ANY_KEY, allow
from web.openapi.operation import Answer, operation
from web.schemas import responses
from web.schemas.requests import ResultsQuery, query
from web.schemas.serializers import item_json, labels_of
from web.state import services

blueprint = Blueprint("results", __name__, url_prefix="/v1/jobs")


@blueprint.get("/<job_id>/results")
@allow(ANY_KEY)
@operation({200: Answer(responses.ResultPage, ["Link"])}, query=ResultsQuery)
def results(job_id: str) -> Response:
    """List the finished items of a job, in the order in which they finished.

    Cursors stay valid while the job runs: follow `next` to get each item once. `Link: rel="next"` is present if more
    items have already finished. Without it, and until `done` is true, wait for the job's status to change and request
    the same cursor again. After a retry, continue from the last cursor: retried items appear again when they finish.
    """
    asked = query(ResultsQuery, request)
    job = services().store.get(job_id)
    labels = labels_of(job, services().registry)
    wanted = Filter(
        asked.state,
        label_index(asked.label, labels),
        asked.min_score,
        asked.max_score,
        None if asked.corrected is None else asked.corrected == "true",
        asked.filename,
        None if asked.unknown is None else asked.unknown == "true",
    )
    read = services().results.least_confident if asked.sort == "score" else services().results.finished
    page = read(job_id, asked.limit, asked.after, wanted)
    data = [item_json(item, labels, job) for item in page.items]
    response = jsonify({"data": data, "next": page.next, "done": page.done})
    return linked(response, page.next if page.more else None)


def label_index(label: str | None, labels: tuple[str, ...], field: str = "label") -> int | None:
    """Return the index of a label, given by name or index. Raise InvalidRequest if there is no such label."""
    if label is None:
        return None
    if label in labels:
        return labels.index(label)
    if label.isdecimal() and int(label) < len(labels):
        return int(label)
    raise InvalidRequest(f"unknown label {label!r}", [Fault(field, f"must be one of: {', '.join(labels)}")])
