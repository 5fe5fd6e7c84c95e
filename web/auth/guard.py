"""Check every request before any of it is read: who calls (`identity`), and whether they may (`access`)."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Flask, current_app, g, redirect, request
from werkzeug.wrappers import Response

from shared.access.api_keys import Scope
from shared.access.quotas import QuotaKind
from shared.domain.entities import JOB_ID_PATTERN, JobKind
from shared.domain.errors import NotAuthenticated, Unavailable
from shared.jobs.store import job_not_found
from web.auth.access import EVERYONE, JOB_SCOPE, Access, access_of, require
from web.auth.identity import identify
from web.middleware.problems import wants_page
from web.middleware.rate_limits import charge
from web.state import caller, services


def install(app: Flask) -> None:
    """Let `app` check every request."""
    app.before_request(_guard)


def _guard() -> Response | None:
    access = access_of(current_app, request.endpoint)
    if access.needed is EVERYONE:
        return None
    try:
        g.key = identify()
    except Unavailable:
        if access.without_redis:
            return None
        raise
    except NotAuthenticated:
        charge(QuotaKind.REQUESTS)
        if request.method == "GET" and wants_page():
            return redirect(f"/sign-in?{urlencode({'next': request.full_path.rstrip('?')})}", 303)
        raise
    _authorize(access)
    return None


def _authorize(access: Access) -> None:
    """Raise NotFound for a malformed job id or a Job of another owner, NotAllowed if the caller lacks the scope."""
    job_id = (request.view_args or {}).get("job_id") if request.path.startswith("/v1/") else None
    if job_id is not None and not JOB_ID_PATTERN.fullmatch(job_id):
        raise job_not_found(job_id[:64])
    kind = _kind_of_visible(job_id) if job_id is not None and caller().visible_owner is not None else None
    if request.method == "OPTIONS":
        return  # it only lists the methods
    if access.needed is JOB_SCOPE:
        require(Scope.TRAIN if kind in (JobKind.IMPORT, JobKind.TRAINING) else Scope.SUBMIT)
    elif isinstance(access.needed, Scope):
        require(access.needed)


def _kind_of_visible(job_id: str) -> JobKind:
    owner, kind = services().store.owner_and_kind(job_id)
    if owner != caller().visible_owner:
        raise job_not_found(job_id)
    return JobKind(kind)
