"""Authorization: what a caller needs for a view, said at the view.

    @blueprint.post("/<job_id>/cancel")
    @allow(JOB_SCOPE)
    def cancel(job_id: str) -> Response:

A view without `@allow` stops the start of the app, so no endpoint is open because it was forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, TypeVar

from flask import Flask

from shared.access.api_keys import Scope
from shared.domain.card import ModelCard
from shared.domain.entities import Job
from shared.domain.errors import NotAllowed
from shared.models.registry import version_not_found
from web.state import caller, services

View = TypeVar("View", bound=Callable[..., Any])


class Needed(Enum):
    """What a view needs if it is not a scope."""

    #: Nothing: the view shows nothing that belongs to an owner.
    NOTHING = auto()
    #: A known key, with any scope.
    ANY_KEY = auto()
    #: The scope for a Job's kind: `train` for a training, else `submit`. For views with a `job_id`.
    JOB_SCOPE = auto()


EVERYONE, ANY_KEY, JOB_SCOPE = Needed.NOTHING, Needed.ANY_KEY, Needed.JOB_SCOPE


@dataclass(frozen=True)
class Access:
    """Who may call a view. With `without_redis` it runs without a caller while Redis cannot say who calls."""

    needed: Needed | Scope
    without_redis: bool = False


def allow(needed: Needed | Scope, *, without_redis: bool = False) -> Callable[[View], View]:
    """Declare who may call the view below."""

    def mark(view: View) -> View:
        view.access = Access(needed, without_redis)  # type: ignore[attr-defined]
        return view

    return mark


def access_of(app: Flask, endpoint: str | None) -> Access:
    """Return who may call an endpoint; static files and unknown addresses are open. Raise KeyError if undeclared."""
    view = app.view_functions.get(endpoint or "")
    if view is None or (endpoint or "").rpartition(".")[2] == "static":
        return Access(EVERYONE)
    declared: Access | None = getattr(view, "access", None)
    if declared is None:
        raise KeyError(f"the view {endpoint} has no @allow(...)")
    return declared


def check_declared(app: Flask) -> None:
    """Raise KeyError if a view of `app` does not say who may call it."""
    for endpoint in app.view_functions:
        access_of(app, endpoint)


def require(scope: Scope) -> None:
    """Raise NotAllowed if the caller lacks the scope; for what only the request's body can tell."""
    if not caller().has_scope(scope):
        raise NotAllowed(f"the key `{caller().name}` lacks the scope `{scope}`, which this needs", scope)


def may_see(job: Job) -> bool:
    """Return whether the Job is visible to the caller."""
    return caller().visible_owner in (None, job.owner)


def may_see_version(card: ModelCard) -> bool:
    """Return whether the version is visible to the caller: it ships with Darkroom, or is the caller's own."""
    return card.owner is None or caller().visible_owner in (None, card.owner)


def visible_card(version: str) -> ModelCard:
    """Return the card of a version. Raise NotFound, also if it belongs to another owner."""
    card = services().registry.card(version)
    if not may_see_version(card):
        raise version_not_found(version)
    return card
