"""Liveness and readiness checks. They are public, since monitoring should need no key, and reveal nothing of jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from flask import Blueprint, Response, jsonify
from pydantic import Field
from typing_extensions import TypedDict

from shared.domain.entities import Queue
from shared.domain.errors import DarkroomError, Unavailable
from shared.jobs.workers import queues_without_workers
from shared.services import Services
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
    checks = {"redis": _outcome(_redis, parts), "storage": _outcome(_storage, parts)}
    for name, check in (("model", _model), ("workers", _workers)):
        checks[name] = _with_redis(check, parts, checks["redis"])
    ready = all(check["ok"] for check in checks.values())
    response = jsonify({"ready": ready, "checks": checks})
    if not ready:
        response.headers["Retry-After"] = "1"
    return response, 200 if ready else 503


def _with_redis(check: Callable[[Services], None], parts: Services, redis: Check) -> Check:
    """Run a check that needs Redis; if Redis has just failed to respond, do not wait for it again."""
    return _outcome(check, parts) if redis["ok"] else redis


def _outcome(check: Callable[[Services], None], parts: Services) -> Check:
    try:
        check(parts)
    except DarkroomError as error:
        return {"ok": False, "detail": str(error)}
    return {"ok": True, "detail": None}


def _redis(parts: Services) -> None:
    parts.store.ping()


def _storage(parts: Services) -> None:
    parts.blobs.check_writable()


def _model(parts: Services) -> None:
    parts.registry.champion()


def _workers(parts: Services) -> None:
    missing = queues_without_workers(list(Queue), parts.workers.alive())
    if missing:
        raise Unavailable(f"no live worker for: {', '.join(missing)}")
