"""`/v1/queues`: what waits, for how long, who works on it, and how fast."""

from __future__ import annotations

from typing import Annotated

from flask import Blueprint, Response, jsonify
from pydantic import Field
from typing_extensions import TypedDict

from shared.domain.entities import Queue
from web.auth.access import ANY_KEY, allow
from web.openapi.operation import Answer, operation
from web.schemas import responses
from web.state import services

blueprint = Blueprint("queues", __name__)


class QueueState(TypedDict):
    """One queue."""

    name: Queue
    jobs: Annotated[responses.Count, Field(description="that wait")]
    depth: Annotated[responses.Count, Field(description="items that wait; a training counts as one")]
    oldest_age_s: Annotated[float | None, Field(ge=0, description="since the oldest of these jobs came")]
    workers: Annotated[responses.Count, Field(description="processes that serve it")]
    rate: Annotated[float, Field(ge=0, description="items per second, over the last minute")]
    per_minute: Annotated[
        tuple[responses.Count, ...],
        Field(description="items that ended in each of the last 60 minutes, the current one last"),
    ]


class WorkerState(TypedDict):
    """One worker process."""

    name: str
    queues: tuple[Queue, ...]
    model: Annotated[str | None, Field(description="the version it has loaded last")]


class QueueList(TypedDict):
    """All queues, and all workers that were seen lately."""

    data: list[QueueState]
    workers: list[WorkerState]


@blueprint.get("/v1/queues")
@allow(ANY_KEY)
@operation({200: Answer(QueueList)})
def queues() -> Response:
    """What waits in each queue, for how long, who works on it, and how fast."""
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
    processes = [{"name": one.name, "queues": one.queues, "model": one.model} for one in workers]
    return jsonify({"data": data, "workers": processes})
