"""Liveness and readiness checks. They are public, since monitoring should need no key, and reveal nothing of jobs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Annotated, Literal

from flask import Blueprint, Response, jsonify
from pydantic import Field
from typing_extensions import TypedDict

from shared.domain.entities import Queue
from shared.domain.errors import DarkroomError, Unavailable
from shared.domain.times import rfc3339
from shared.jobs.workers import Workers, queues_without_workers
from shared.services import Services
from web.auth.access import EVERYONE, allow
from web.openapi.operation import Answer, operation
from web.state import services, state

#: What the workers of a queue do.
WORK = {
    Queue.INTERACTIVE: "small jobs (interactive)",
    Queue.BULK: "big jobs (bulk)",
    Queue.TRAIN: "trainings (train)",
}

log = logging.getLogger(__name__)
blueprint = Blueprint("health", __name__)


class Health(TypedDict):
    """Liveness of the web process."""

    status: Literal["ok"]


class Check(TypedDict):
    """The check of one component."""

    ok: bool
    detail: Annotated[str | None, Field(description="Reason if the check failed, and what to do; else null.")]
    since: Annotated[
        str | None, Field(description="Time of the first failed check in a row, of this web process; else null.")
    ]


class Readiness(TypedDict):
    """Whether the service can process jobs."""

    ready: bool
    checks: Annotated[dict[str, Check], Field(description="By component: redis, queue, storage, model, workers.")]


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
    needing_redis: dict[str, Callable[[], object]] = {
        "model": parts.registry.champion,
        "workers": partial(_check_workers, parts.workers),
    }
    checks = _all(
        {"redis": parts.store.check, "queue": parts.messenger.check, "storage": partial(_check_storage, parts)}
    )
    if checks["redis"]["ok"]:
        checks |= _all(needing_redis)
    else:  # Redis has just failed to respond: do not wait for it again
        checks |= dict.fromkeys(needing_redis, checks["redis"])
    ready = all(check["ok"] for check in checks.values())
    response = jsonify({"ready": ready, "checks": checks})
    if not ready:
        response.headers["Retry-After"] = "1"
    return response, 200 if ready else 503


def _all(checks: Mapping[str, Callable[[], object]]) -> dict[str, Check]:
    """Run the checks at the same time: each may wait for seconds."""
    since = state().failing_since
    with ThreadPoolExecutor(len(checks)) as pool:
        problems = dict(zip(checks, pool.map(_problem, checks.values()), strict=True))
    for name, problem in problems.items():
        if problem is None:
            since.pop(name, None)
        elif name not in since:
            log.warning("not ready: %s: %s", name, problem)
            since[name] = time.time()
    return {name: _check(problem, since.get(name)) for name, problem in problems.items()}


def _problem(check: Callable[[], object]) -> DarkroomError | None:
    try:
        check()
    except DarkroomError as error:
        return error
    return None


def _check(problem: DarkroomError | None, since: float | None) -> Check:
    return {
        "ok": problem is None,
        "detail": None if problem is None else str(problem),
        "since": rfc3339(since) if since else None,
    }


def _check_storage(parts: Services) -> None:
    parts.blobs.check_writable()
    with suppress(Unavailable):  # without Redis, whose check says so
        parts.storage_identity.check()


def _check_workers(workers: Workers) -> None:
    missing = queues_without_workers(list(Queue), workers.alive())
    if missing:
        raise Unavailable(f"no worker is running for: {', '.join(WORK[Queue(queue)] for queue in missing)}")
