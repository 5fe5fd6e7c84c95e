"""The ETag of a champion, and the condition of a change: a client changes only what it has seen."""

from __future__ import annotations

from werkzeug.datastructures import ETags

from shared.domain.errors import PreconditionFailed, PreconditionRequired
from shared.domain.times import rfc3339_or_none
from shared.models.classifiers import Alias
from web.schemas import responses


def champion_json(alias: Alias) -> responses.Champion:
    """Return the JSON of a champion."""
    return {"version": alias.version, "since": rfc3339_or_none(alias.since) or "", "previous": alias.previous}


def etag(alias: Alias | None) -> str:
    """Return the ETag of a champion; it also changes if an upgrade ships a newer default one."""
    return f"{alias.revision}-{alias.version}" if alias else "0"


def expected_revision(condition: ETags, now: Alias | None) -> int | None:
    """Return the revision that the champion must have, None for any.

    Raise PreconditionRequired without a condition, PreconditionFailed if the champion has changed.
    """
    if not condition:
        raise PreconditionRequired("send If-Match with the ETag of the current champion, or * for any")
    if condition.star_tag:
        return None
    if not condition.contains(etag(now)):
        is_now = f"is {now.version} since {rfc3339_or_none(now.since)}" if now else "was not chosen yet"
        raise PreconditionFailed(f"the champion {is_now}: read it again, then retry")
    return now.revision if now else 0
