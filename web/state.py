"""What views and middleware find in Flask: the app's parts, and the caller of the request."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import BoundedSemaphore

from flask import current_app, g

from shared.access.api_keys import ApiKey
from shared.access.idempotency import KeyLock
from shared.access.key_ring import KeyRing
from shared.access.quotas import Quotas
from shared.jobs.waiter import JobWaiter
from shared.services import Services

#: Requests of one web process that may wait for the import of a model; more are asked to come again.
IMPORTS_AT_ONCE = 2


@dataclass(frozen=True)
class State:
    """The parts of one app. Nothing connects before it is used."""

    services: Services
    key_ring: KeyRing
    quotas: Quotas
    key_lock: KeyLock
    waiter: JobWaiter
    #: Requests of this process that may wait for a heatmap; more are asked to come again.
    heatmap_slots: BoundedSemaphore
    #: Checks of /readyz that fail, since when (seconds since the epoch).
    failing_since: dict[str, float] = field(default_factory=dict)
    import_slots: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(IMPORTS_AT_ONCE))


def state() -> State:
    """Return the parts of the app that the request came to."""
    return current_app.extensions["darkroom"]  # type: ignore[no-any-return]


def services() -> Services:
    """Return the parts of the service that the app was made with."""
    return state().services


def caller() -> ApiKey:
    """Return the key that the request came with."""
    return g.key  # type: ignore[no-any-return]
