"""Liveness and readiness checks. They are public, since monitoring should need no key, and reveal nothing of jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from flask import Blueprint, Response, jsonify
from pydantic import Field
from typing_extensions import TypedDict

from shared.domain.entities import Queue
from shared.domain.errors import DarkroomError, Unavailable
from shared.jobs.workers import Workers, queues_without_workers
from web.auth.access import EVERYONE, allow
from web.openapi.operation import Answer, operation
from web.state import services

blueprint = Blueprint("health", __name__)


class Health(TypedDict):
    """Liveness of the web process."""

    status: Literal["ok"]


class Check(TypedDict):
    """The check of one component."""

    ok: bool
    detail: Annotated[str | None, Field(description="Reason if the check failed, else null.")]


class Readiness(TypedDict):
    """Whether the service can process jobs."""

    ready: bool
    checks: Annotated[dict[str, Check], Field(description="By component: redis, storage, model, workers.")]


@blueprint.get("/healthz")
@allow(EVERYONE)
@operation({200: Answer(Health)})
def healthz() -> Response:
    """Check liveness.

    Returns 200 while the web process responds.
    """
    return jsonify({"status": "ok"})


@blueprint.get("/readyz")
@allow(EVERYONE)
@operation({200: Answer(Readiness), 503: Answer(Readiness, ["Retry-After"], about="At least one check failed.")})
def readyz() -> tuple[Response, int]:
    """Check readiness.

    Returns 200 if the service can process jobs, else 503 with the failed checks.
    """
    parts = services()
    checks = {"redis": _run(parts.store.ping), "storage": _run(parts.blobs.check_writable)}
    needing_redis: dict[str, Callable[[], object]] = {
        "model": parts.registry.champion,
        "workers": lambda: _check_workers(parts.workers),
    }
    for name, check in needing_redis.items():  # if Redis has just failed to respond, do not wait for it again
        checks[name] = _run(check) if checks["redis"]["ok"] else checks["redis"]
    ready = all(check["ok"] for check in checks.values())
    response = jsonify({"ready": ready, "checks": checks})
    if not ready:
        response.headers["Retry-After"] = "1"
    return response, 200 if ready else 503


def _run(check: Callable[[], object]) -> Check:
    try:
        check()
    except DarkroomError as error:
        return {"ok": False, "detail": str(error)}
    return {"ok": True, "detail": None}


def _check_workers(workers: Workers) -> None:
    missing = queues_without_workers(list(Queue), workers.alive())
    if missing:
        raise Unavailable(f"no live worker for: {', '.join(missing)}")
