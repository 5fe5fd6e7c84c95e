"""`/v1/queues`: what waits, for how long, who works on it, and how fast."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from web.api.requests import Query, query, services

blueprint = Blueprint("queues", __name__)


@blueprint.get("/v1/queues")
def queues() -> Response:
    """Each queue with `depth` in items, `oldest_age_s`, the number of workers, and `rate` in items per second.

    `per_minute` has the items that ended in each of the last 60 minutes, the current one last.
    """
    query(Query, request)
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
