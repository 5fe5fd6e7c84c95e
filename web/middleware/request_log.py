"""The id, log line and metrics of each request."""

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
#: Valid ids from a client or proxy; they appear in headers and logs.
VALID_ID = re.compile(r"[A-Za-z0-9._:=/+@-]{1,128}")


def install(app: Flask) -> None:
    """Give each request of `app` an id, and log and count it when it is answered.

    Call this before other handlers are registered: they then run with the id, and this one sees the final response.
    """
    request_started.connect(_begin, app)
    app.after_request(_answered)


def request_id() -> str | None:
    """Return the id of the current request."""
    found: str | None = g.get("request_id")
    return found


def about_job(job_id: str) -> None:
    """Add the job's id to the following log lines of the current request."""
    bind_contextvars(job_id=job_id)


def _begin(_app: Flask, **_: Any) -> None:
    given = request.headers.get(HEADER, "")
    g.request_id, g.began = given if VALID_ID.fullmatch(given) else new_id(), time.perf_counter()
    clear_contextvars()
    bind_contextvars(request_id=g.request_id)
    if job_id := (request.view_args or {}).get("job_id"):
        about_job(job_id[:64])


def _answered(response: Response) -> Response:
    response.headers[HEADER] = g.request_id
    began, facts = g.began, _facts(response)
    if response.is_streamed:  # it is sent after the request context has ended
        response.call_on_close(lambda: _record(facts, time.perf_counter() - began))
    else:
        _record(facts, time.perf_counter() - began)
    return response


def _record(facts: dict[str, Any], seconds: float) -> None:
    level = logging.WARNING if facts["status"] >= 500 else logging.INFO
    count_request(facts["method"], facts["route"], facts["status"], seconds)
    log.log(level, "request", extra={**facts, "duration_s": round(seconds, 6)})


def _facts(response: Response) -> dict[str, Any]:
    """Return the fields of the log line; never the query or headers, which may hold secrets."""
    return {
        "method": request.method,
        "path": request.path,
        "route": request.url_rule.rule if request.url_rule else None,
        "owner": getattr(g.get("key"), "owner", None),
        "status": response.status_code,
        "bytes_received": request.content_length,
        "bytes_sent": response.content_length,
    }
