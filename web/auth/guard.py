"""Who asks, and whether they may: API keys, the pages' session, and what a strange web page may not do.

Every request is checked here, before anything of it is read. A view is for holders of a key unless it says
`@open_to_all`, and every change is for `admin` unless it is one of a job, so a new endpoint that nobody thought about
is closed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from flask import Flask, current_app, g, redirect, request, session
from flask_wtf.csrf import ValidationError, validate_csrf
from werkzeug.wrappers import Response

from shared.access.api_keys import LOCAL_ADMIN, ApiKey, Scope, digest_of
from shared.access.quotas import QuotaKind
from shared.domain.entities import JOB_ID_PATTERN, Job, JobKind
from shared.domain.errors import NotAllowed, NotAuthenticated, Unavailable
from shared.jobs.store import job_not_found
from web.auth.sessions import load_secret
from web.middleware.problems import wants_page
from web.middleware.rate_limits import charge
from web.state import caller, services, state

#: Methods that change nothing.
SAFE = {"GET", "HEAD", "OPTIONS"}

View = TypeVar("View", bound=Callable[..., Any])


def install(app: Flask) -> None:
    """Let `app` check every request."""
    app.before_request(_guard)


def open_to_all(view: View) -> View:
    """The view is for everybody: it shows nothing of anybody."""
    view.open_to_all = True  # type: ignore[attr-defined]
    return view


def needs(scope: Scope) -> Callable[[View], View]:
    """Only keys with this scope may see the view, also where it changes nothing."""

    def mark(view: View) -> View:
        view.needs = scope  # type: ignore[attr-defined]
        return view

    return mark


def also_without_redis(view: View) -> View:
    """Where Redis is away and nobody can tell who asks, the view is asked all the same, without a key in `g`."""
    view.also_without_redis = True  # type: ignore[attr-defined]
    return view


def keys_needed() -> bool:
    """Return whether this request needs a key: there is one, or other machines can reach the service.

    Raises Unavailable.
    """
    listens_on = request.environ["SERVER_NAME"]  # the address of the socket that the request came to
    return not state().key_ring.is_empty() or services().settings.is_exposed_on(listens_on)


def require(scope: Scope) -> None:
    """Raise NotAllowed where the request's key has not this scope."""
    if not caller().has_scope(scope):
        raise NotAllowed(f"the key `{caller().name}` has not the scope `{scope}`, which this needs", scope)


def may_see(job: Job) -> bool:
    """Whether the request's key sees the job."""
    return caller().visible_owner in (None, job.owner)


def check_origin() -> None:
    """Raise NotAllowed for a change that another site's page asks for. Clients that are no browser say no origin."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    ours = site in ("same-origin", "none") if site else origin is None or origin.partition("://")[2] == request.host
    if request.method not in SAFE and not ours:
        raise NotAllowed("a page of another site asks for this")


def check_token(token: str | None) -> None:
    """Raise NotAllowed where this is not the token that a page of this session has."""
    load_secret(current_app)
    try:
        validate_csrf(token)
    except ValidationError as error:
        raise NotAllowed("the page that asks for this is of another session: load it again") from error


def _guard() -> Response | None:
    view = current_app.view_functions.get(request.endpoint or "")
    if view is None or getattr(view, "open_to_all", False) or _is_static():
        return None
    try:
        g.key = _identify()
    except Unavailable:
        if getattr(view, "also_without_redis", False):
            return None
        raise
    except NotAuthenticated:
        charge(QuotaKind.REQUESTS)
        if request.method == "GET" and wants_page():
            return redirect(f"/sign-in?{urlencode({'next': request.full_path.rstrip('?')})}", 303)
        raise
    scope = getattr(view, "needs", None) or _needed_scope()
    if scope is not None:
        require(scope)
    return None


def _is_static() -> bool:
    return (request.endpoint or "").rpartition(".")[2] == "static"  # Flask's own view, of an app or a blueprint


def _identify() -> ApiKey:
    if not keys_needed():
        _check_host()
        check_origin()
        return LOCAL_ADMIN
    if "Authorization" in request.headers:
        return _bearer()
    return _signed_in()


def _bearer() -> ApiKey:
    given = request.authorization
    key = state().key_ring.find(digest_of(given.token)) if given and given.type == "bearer" and given.token else None
    if key is None:
        raise NotAuthenticated("the key in `Authorization` is not known: it was mistyped, or is revoked", given=True)
    return key


def _signed_in() -> ApiKey:
    if current_app.session_interface.is_null_session(session):
        raise Unavailable("the job store (Redis) cannot be reached")
    key = state().key_ring.find(session["key"]) if "key" in session else None
    if key is None:
        raise NotAuthenticated("a key is needed: `Authorization: Bearer …`")
    check_origin()
    if request.method not in SAFE:
        check_token(request.headers.get("X-CSRF-Token"))
    return key


def _needed_scope() -> Scope | None:
    """The scope that the request needs for what it changes; None where it changes nothing, or the view looks.

    Somebody else's job answers here as one that is not there.
    """
    job_id = (request.view_args or {}).get("job_id") if request.path.startswith("/v1/") else None
    kind = _kind_of_visible(job_id) if job_id is not None and caller().visible_owner is not None else None
    if request.method in SAFE or request.endpoint == "jobs.create":
        return None
    if job_id is None:
        return Scope.ADMIN
    return Scope.TRAIN if kind is JobKind.TRAINING else Scope.SUBMIT


def _kind_of_visible(job_id: str) -> JobKind:
    if not JOB_ID_PATTERN.fullmatch(job_id):
        raise job_not_found(job_id[:64])
    owner, kind = services().store.owner_and_kind(job_id)
    if owner != caller().visible_owner:
        raise job_not_found(job_id)
    return JobKind(kind)


def _check_host() -> None:
    """Raise NotAllowed where the address bar of a browser may hold a name that a stranger has pointed to this machine.

    With such a name (DNS rebinding) the stranger's page would count as ours. Nobody can do that with an address, nor
    with a name without a dot.
    """
    host = urlsplit(f"//{request.host}").hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if "." in host and not host.endswith(".localhost"):
            raise NotAllowed(
                f"without API keys the service answers to this machine only, not as {host}: "
                "open it as localhost, or make a key with `darkroom keys create NAME`"
            ) from None
