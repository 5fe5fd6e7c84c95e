"""Opaque pagination cursors."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TypeVar

from shared.domain.errors import Fault, InvalidRequest

#: Limits of a cursor's position: a key of 128 characters and a score, or a number greater than any list.
MAX_TEXT, MAX_NUMBER = 160, 1 << 48

T = TypeVar("T", int, str)


def encode_cursor(order: str, position: int | str) -> str:
    """Return the cursor for a position in a list of this order."""
    return base64.urlsafe_b64encode(json.dumps([order, position]).encode()).decode().rstrip("=")


def decode_cursor(order: str, cursor: str, kind: type[T]) -> T:
    """Return the position in a cursor of this order. Raise InvalidRequest for any other text."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        found, position = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, TypeError, RecursionError):
        found = position = None
    if found == order and type(position) is kind and _is_within_limits(position):
        return position
    raise invalid_cursor()


def invalid_cursor() -> InvalidRequest:
    """Return the error for a malformed cursor."""
    return InvalidRequest("`after` is not a cursor of this list", [Fault("after", "not a cursor of this list")])


def _is_within_limits(position: int | str) -> bool:
    return len(position) <= MAX_TEXT and position.isascii() if isinstance(position, str) else 0 <= position < MAX_NUMBER
