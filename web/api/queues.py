"""Queues and workers."""

from __future__ import annotations

from typing import Annotated

from flask import Blueprint, Response, jsonify
from pydantic import Field
from typing_extensions import TypedDict

from shared.code import own_code
from shared.domain.entities import Queue
from shared.domain.times import rfc3339
from shared.jobs.workers import Lack
from web.auth.access import ANY_KEY, allow
from web.openapi.operation import Answer, operation
from web.schemas import responses
from web.state import services

blueprint = Blueprint("queues", __name__)


class QueueState(TypedDict):
    """The state of a queue."""

    name: Queue
    jobs: Annotated[responses.Count, Field(description="Waiting jobs.")]
    depth: Annotated[responses.Count, Field(description="Waiting items; a training counts as one.")]
    oldest_age_s: Annotated[
        float | None, Field(ge=0, description="Age of the oldest waiting job, in seconds; null if none is waiting.")
    ]
    workers: Annotated[responses.Count, Field(description="Worker processes that serve this queue.")]
    rate: Annotated[float, Field(ge=0, description="Items per second over the last minute.")]
    per_minute: Annotated[
        tuple[responses.Count, ...],
        Field(description="Finished items in each of the last 60 minutes; the current minute is last."),
    ]


class LackState(TypedDict):
    """Something that a worker process cannot get. It leaves work that needs it to other workers."""

    what: Annotated[
        str, Field(description="A model version, `cifar10` (the training data) or `storage` (the pictures).")
    ]
    reason: str
    since: responses.Timestamp


class WorkerState(TypedDict):
    """A worker process."""

    name: Annotated[str, Field(description="Its machine, its process number and a random part, with colons.")]
    queues: tuple[Queue, ...]
    model: Annotated[str | None, Field(description="Model version that it loaded last.")]
    lacks: Annotated[list[LackState], Field(description="Usually empty.")]
    code: Annotated[str | None, Field(description="Version of its code; null if that is too old to say so.")]
    rate: Annotated[float, Field(ge=0, description="Pictures per second over the last minute.")]
    silent_s: Annotated[responses.Count, Field(description="Seconds since its last sign of life.")]


class QueueList(TypedDict):
    """All queues, all live workers, the number of reports, and the version of the code."""

    data: list[QueueState]
    workers: list[WorkerState]
    reports: Annotated[
        responses.Count,
        Field(description="Reports on datasets that training workers have yet to compute, before trainings."),
    ]
    code: Annotated[str, Field(description="Version of the code of the web server.")]


@blueprint.get("/v1/queues")
@allow(ANY_KEY)
@operation({200: Answer(QueueList)})
def queues() -> Response:
    """List the queues and workers."""
    workers = services().workers.alive()
    data = [
        {
            "name": state.queue,
            "jobs": state.jobs,
            "depth": state.depth,
            "oldest_age_s": state.oldest_age_s,
            "workers": sum(state.queue in worker.queues for worker in workers),
            "rate": round(state.rate, 3),
            "per_minute": state.per_minute,
        }
        for state in services().queues.all()
    ]
    processes = [
        {
            "name": one.name,
            "queues": one.queues,
            "model": one.model,
            "lacks": [_lack(lack) for lack in one.lacks],
            "code": one.code,
            "rate": one.rate,
            "silent_s": one.silent_s,
        }
        for one in workers
    ]
    reports = services().reports.count()
    return jsonify({"data": data, "workers": processes, "reports": reports, "code": own_code().version})


def _lack(lack: Lack) -> dict[str, str]:
    return {"what": lack.what, "reason": lack.reason, "since": rfc3339(lack.since)}
