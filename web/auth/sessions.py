"""The session cookie: the digest of the API key, signed with a secret that all web processes share."""

from __future__ import annotations

from flask import Flask, Request, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from itsdangerous import URLSafeTimedSerializer

from shared.domain.errors import Unavailable
from web.state import services

#: Seconds that a session lasts; it also ends with the browser.
SESSION_S = 12 * 3600


class Sessions(SecureCookieSessionInterface):
    """Flask's sessions, with the secret from Redis. Without a cookie Redis is not asked."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the session; None, which makes it read-only, if Redis cannot be reached."""
        if self.get_cookie_name(app) not in request.cookies:
            return self.session_class()
        try:
            return super().open_session(app, request)
        except Unavailable:
            return None

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """Return the serializer that signs cookies. Raise Unavailable."""
        load_secret(app)
        return super().get_signing_serializer(app)

    def get_cookie_secure(self, app: Flask) -> bool:  # noqa: ARG002  # Flask's signature
        """Return whether the cookie may travel over TLS only: if the page did."""
        return request.is_secure


def load_secret(app: Flask) -> None:
    """Let `app` sign with the current secret: it changes if Redis is emptied. Raise Unavailable."""
    app.secret_key = services().keys.secret()


def install(app: Flask) -> None:
    """Give `app` these sessions."""
    app.session_interface = Sessions()
    app.config.update(
        SESSION_COOKIE_NAME="darkroom",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",  # a link from elsewhere opens the page that it names
        PERMANENT_SESSION_LIFETIME=SESSION_S,
        WTF_CSRF_TIME_LIMIT=None,  # a page's token holds as long as the session: a job may take hours
    )
