"""Authentication: which API key a request comes with, as a bearer token or by the cookie of a page."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from flask import current_app, request, session
from flask_wtf.csrf import ValidationError, validate_csrf

from shared.access.api_keys import LOCAL_ADMIN, ApiKey, digest_of
from shared.domain.errors import NotAllowed, NotAuthenticated, Unavailable
from web.auth.sessions import load_secret
from web.state import services, state

#: Methods that change nothing.
SAFE = {"GET", "HEAD", "OPTIONS"}


def identify() -> ApiKey:
    """Return the caller's key.

    Raises NotAuthenticated, NotAllowed for a request that a page of another site makes, and Unavailable.
    """
    if not keys_needed():
        _check_host()
        check_origin()
        return LOCAL_ADMIN
    if "Authorization" in request.headers:
        return _bearer()
    return _signed_in()


def keys_needed() -> bool:
    """Return whether this request needs a key: there is one, or other machines can reach the service.

    Raises Unavailable.
    """
    listens_on = request.environ["SERVER_NAME"]  # the address of the socket that the request came to
    return not state().key_ring.is_empty() or services().settings.is_exposed_on(listens_on)


def check_origin() -> None:
    """Raise NotAllowed if a page of another site asks for a change. Clients other than browsers send no origin."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    ours = site in ("same-origin", "none") if site else origin is None or origin.partition("://")[2] == request.host
    if request.method not in SAFE and not ours:
        raise NotAllowed("this request comes from a page of another site")


def check_token(token: str | None) -> None:
    """Raise NotAllowed if `token` is not the CSRF token of this session's pages."""
    load_secret(current_app)
    try:
        validate_csrf(token)
    except ValidationError as error:
        raise NotAllowed("this page belongs to another session: reload it") from error


def _bearer() -> ApiKey:
    given = request.authorization
    key = state().key_ring.find(digest_of(given.token)) if given and given.type == "bearer" and given.token else None
    if key is None:
        raise NotAuthenticated("the key in `Authorization` is unknown: it is mistyped or was revoked", given=True)
    return key


def _signed_in() -> ApiKey:
    if current_app.session_interface.is_null_session(session):
        raise Unavailable("the job store (Redis) cannot be reached")
    key = state().key_ring.find(session["key"]) if "key" in session else None
    if key is None:
        raise NotAuthenticated("this needs an API key: `Authorization: Bearer …`")
    check_origin()
    if request.method not in SAFE:
        check_token(request.headers.get("X-CSRF-Token"))
    return key


def _check_host() -> None:
    """Raise NotAllowed if the host is a name that a stranger may have pointed to this machine (DNS rebinding).

    Under such a name the stranger's page would count as ours. An address, or a name without a dot, cannot be used so.
    """
    host = urlsplit(f"//{request.host}").hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if "." in host and not host.endswith(".localhost"):
            raise NotAllowed(
                f"without API keys the service answers to this machine only, not as {host}: "
                "open it as localhost, or make a key with `./darkroom keys create NAME`"
            ) from None
