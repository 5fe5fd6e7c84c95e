"""Each request: its id, its line in the log, and that it is counted."""

from __future__ import annotations

import logging
import re
import time
from typing import Any

from flask import Flask, Response, g, request, request_started
from structlog.contextvars import bind_contextvars, clear_contextvars

from shared.domain.entities import new_id
from web.monitoring.request_metrics import count_request

log = logging.getLogger("darkroom.request")

HEADER = "X-Request-Id"
#: What a client, or a proxy, may call its request: it stands in headers and logs.
GIVEN_ID = re.compile(r"[A-Za-z0-9._:=/+@-]{1,128}")


def install(app: Flask) -> None:
    """Give each request of `app` an id, and log and count it when it is answered.

    To be called before anything else adds its part: what follows then runs under the id, and answers pass here last.
    """
    request_started.connect(_begin, app)
    app.after_request(_answered)


def request_id() -> str | None:
    """The id of the request in hand."""
    found: str | None = g.get("request_id")
    return found


def about_job(job_id: str) -> None:
    """Let the request's further lines name the job that it has made."""
    bind_contextvars(job_id=job_id)


def _begin(_app: Flask, **_: Any) -> None:
    given = request.headers.get(HEADER, "")
    g.request_id, g.began = given if GIVEN_ID.fullmatch(given) else new_id(), time.perf_counter()
    clear_contextvars()
    bind_contextvars(request_id=g.request_id)
    if job_id := (request.view_args or {}).get("job_id"):
        about_job(job_id[:64])


def _answered(response: Response) -> Response:
    response.headers[HEADER] = g.request_id
    began, facts = g.began, _facts(response)
    if response.is_streamed:  # it is sent when there is no request any more
        response.call_on_close(lambda: _note(facts, time.perf_counter() - began))
    else:
        _note(facts, time.perf_counter() - began)
    return response


def _note(facts: dict[str, Any], seconds: float) -> None:
    level = logging.WARNING if facts["status"] >= 500 else logging.INFO
    count_request(facts["method"], facts["route"], facts["status"], seconds)
    log.log(level, "request", extra={**facts, "duration_s": round(seconds, 6)})


def _facts(response: Response) -> dict[str, Any]:
    """What the log tells of a request; never its query or headers: they may hold secrets."""
    return {
        "method": request.method,
        "path": request.path,
        "route": request.url_rule.rule if request.url_rule else None,
        "owner": getattr(g.get("key"), "owner", None),
        "status": response.status_code,
        "bytes_received": request.content_length,
        "bytes_sent": response.content_length,
    }
