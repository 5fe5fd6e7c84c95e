"""Timestamps of the API."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(seconds: float) -> str:
    """Return seconds since the epoch as an RFC 3339 timestamp in UTC, with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rfc3339_or_none(seconds: float | None) -> str | None:
    """Return the timestamp, or None for None."""
    return None if seconds is None else rfc3339(seconds)
