"""`/sign-in` and `/sign-out`: exchange an API key for the session cookie of the pages."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, g, make_response, redirect, render_template, request, session
from flask_wtf.csrf import generate_csrf
from werkzeug.wrappers import Response as AnyResponse

from shared.access.api_keys import digest_of
from shared.access.quotas import QuotaKind
from web.auth.access import EVERYONE, allow
from web.auth.identity import check_origin, check_token, keys_needed
from web.auth.sessions import load_secret
from web.middleware.rate_limits import charge
from web.state import state

blueprint = Blueprint("sign_in", __name__)

#: Bytes of a form that are read: a key, a token and a URL have a few hundred.
MAX_FORM_BYTES = 16 * 1024


@blueprint.get("/sign-in")
@allow(EVERYONE)
def page() -> AnyResponse:
    """Ask for a key; redirect if none is needed."""
    return _form() if keys_needed() else redirect(_wanted_page(), 303)


@blueprint.post("/sign-in")
@allow(EVERYONE)
def sign_in() -> AnyResponse:
    """Check the key and redirect to the requested page."""
    _limit()
    check_origin()
    check_token(request.form.get("csrf_token"))
    key = state().key_ring.find(digest_of(request.form.get("key", "").strip()))
    if key is None:
        return _form(wrong=True)
    session.clear()
    session["key"] = key.digest
    return redirect(_wanted_page(), 303)


@blueprint.post("/sign-out")
@allow(EVERYONE)
def sign_out() -> AnyResponse:
    """End the session."""
    _limit()
    check_origin()
    check_token(request.form.get("csrf_token"))
    session.clear()
    return redirect("/sign-in", 303)


@blueprint.app_template_global()
def csrf_token() -> str:
    """Return the token that a page sends with every change; pages of other sites cannot read it."""
    return str(generate_csrf())


@blueprint.app_template_global()
def signed_in() -> str | None:
    """Return the name of the session's key, None without a session."""
    return g.key.name if "key" in g and "key" in session else None


def _limit() -> None:
    """Count the request and limit its body before it is read: these forms are open to everyone."""
    charge(QuotaKind.REQUESTS)
    request.max_content_length = MAX_FORM_BYTES


def _form(*, wrong: bool = False) -> Response:
    load_secret(current_app)
    return make_response(render_template("sign_in.html", next=_wanted_page(), wrong=wrong), 401 if wrong else 200)


def _wanted_page() -> str:
    """Return the URL in `next` if it is one of ours, else the first page."""
    wanted = request.values.get("next", "/")
    ours = wanted.startswith("/") and not wanted.startswith("//") and "\\" not in wanted and wanted.isprintable()
    return wanted if ours else "/"
