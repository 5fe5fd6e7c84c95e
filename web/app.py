"""The Flask app and its parts."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from pathlib import Path
from threading import BoundedSemaphore

from flask import Flask, Response, request
from flask_bootstrap import Bootstrap5
from gunicorn.errors import AppImportError
from werkzeug.middleware.proxy_fix import ProxyFix

from shared.access.idempotency import IdempotencyStore, KeyLock
from shared.access.key_ring import KeyRing
from shared.access.quotas import QuotaKind, Quotas
from shared.domain.errors import ConfigError, DarkroomError, StorageFull, Unavailable, UnsupportedMedia
from shared.jobs.ended import EndedJobs
from shared.jobs.waiter import JobWaiter
from shared.logs import with_cause
from shared.services import Services
from shared.settings import load_settings
from shared.startup import check_binding
from shared.storage.blobs import web_patience
from web.api import (
    classifiers,
    corrections,
    dataset_imports,
    dataset_labels,
    dataset_pictures,
    dataset_report,
    dataset_taken,
    datasets,
    exports,
    health,
    heatmaps,
    items,
    jobs,
    labels,
    metrics,
    model_exports,
    models,
    presets,
    queues,
    results,
    system,
    trainings,
    version_answers,
    webhooks,
)
from web.auth import guard, sessions
from web.auth.access import check_declared
from web.middleware import idempotency, problems, rate_limits, request_log
from web.middleware.permissions import permissions_policy
from web.pages import docs, pages, sign_in
from web.state import State

#: The modules of the API, in the order of its description.
API = (
    jobs,
    items,
    heatmaps,
    results,
    exports,
    labels,
    corrections,
    trainings,
    webhooks,
    models,
    version_answers,
    model_exports,
    classifiers,
    datasets,
    dataset_imports,
    dataset_labels,
    dataset_pictures,
    dataset_report,
    dataset_taken,
    presets,
    queues,
    system,
    health,
    metrics,
)

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"

#: Everything comes from here; Bootstrap's own style sheet has its icons in `data:` addresses.
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": permissions_policy(),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-cache",  # unless a view knows better
}
#: Seconds for which a browser that came over TLS uses nothing else (HSTS): a year.
TLS_ONLY_S = 365 * 24 * 3600


#: Seconds between two tries to publish the shipped versions.
PUBLISH_RETRY_S = 30

log = logging.getLogger(__name__)


def create_app(services: Services) -> Flask:
    """Return the app over these services; nothing connects before the first request."""
    app = Flask(__name__, template_folder=str(TEMPLATES))
    app.extensions["darkroom"] = _state(services)
    app.url_map.merge_slashes = False  # a redirect has an HTML body
    app.config["MAX_CONTENT_LENGTH"] = services.settings.max_request_bytes
    app.config["BOOTSTRAP_SERVE_LOCAL"] = True
    app.json.sort_keys = False  # type: ignore[attr-defined]
    Bootstrap5(app)
    request_log.install(app)
    problems.install(app)
    if proxies := services.settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies)  # type: ignore[method-assign]
    for part in (*API, pages, sign_in):
        app.register_blueprint(part.blueprint)
    app.before_request(_notice_broken_bodies)
    app.before_request(_refuse_encoded_bodies)
    sessions.install(app)
    guard.install(app)
    rate_limits.install(app)
    idempotency.install(app)
    app.after_request(_secure)
    docs.install(app)
    check_declared(app)
    return app


def _state(services: Services) -> State:
    settings = services.settings
    hourly = {
        QuotaKind.REQUESTS: settings.requests_per_hour,
        QuotaKind.BYTES: settings.bytes_per_hour,
        QuotaKind.ITEMS: settings.items_per_hour,
    }
    return State(
        services=services,
        key_ring=KeyRing(settings.api_keys or (), services.keys),
        quotas=Quotas(services.redis, hourly),
        key_lock=KeyLock(IdempotencyStore(services.redis)),
        waiter=JobWaiter(waiting_places(settings.web_threads), EndedJobs(services.redis)),
        heatmap_slots=BoundedSemaphore(max(1, settings.web_threads // 4)),
    )


def waiting_places(threads: int) -> int:
    """Return how many requests of a web process may wait: a fifth of its threads are left to all others."""
    return max(1, threads * 4 // 5)


def from_environment() -> Flask:
    """Return the app for gunicorn. A wrong setting stops the start with one line in its log."""
    try:
        settings = load_settings()
        services = Services.build(settings, web_patience(settings.web_threads))
        check_binding(services.settings, services.keys)
        with suppress(Unavailable, StorageFull):  # /readyz says so, and checks again
            services.storage_identity.check()
    except ConfigError as error:
        raise AppImportError(str(error)) from error
    threading.Thread(target=_publish, args=[services], name="publish", daemon=True).start()
    return create_app(services)


def _publish(services: Services) -> None:
    """Record the code, and publish the shipped versions: other machines may have other ones."""
    while True:
        try:
            services.code.record()
            return services.registry.publish_shipped()
        except DarkroomError as error:
            log.warning("the shipped models cannot be published, retrying: %s", with_cause(error))
        time.sleep(PUBLISH_RETRY_S)


def _notice_broken_bodies() -> None:
    """Let werkzeug raise if a body is shorter than its `Content-Length`; gunicorn alone would accept it."""
    if request.content_length is not None:
        request.environ.pop("wsgi.input_terminated", None)


def _refuse_encoded_bodies() -> None:
    """Raise UnsupportedMedia for a compressed body: it would be taken for a picture that is compressed by itself."""
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if request.method not in ("GET", "HEAD") and encoding not in ("", "identity"):
        raise UnsupportedMedia(f"Content-Encoding: {encoding} is not accepted in a request: send the body as it is")


def _secure(response: Response) -> Response:
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    if request.is_secure:  # browsers ignore it over plain HTTP
        response.headers["Strict-Transport-Security"] = f"max-age={TLS_ONLY_S}"
    return response
