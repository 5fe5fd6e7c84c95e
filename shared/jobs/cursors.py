"""Opaque cursors: where a list goes on. Clients may only give them back."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TypeVar

from shared.domain.errors import Fault, InvalidRequest

#: Longest text, a key of 128 characters and a score, and a number that no list reaches: what a cursor may hold.
MAX_TEXT, MAX_NUMBER = 160, 1 << 48

T = TypeVar("T", int, str)


def encode_cursor(order: str, position: int | str) -> str:
    """A cursor for a position in a list of this order."""
    return base64.urlsafe_b64encode(json.dumps([order, position]).encode()).decode().rstrip("=")


def decode_cursor(order: str, cursor: str, kind: type[T]) -> T:
    """The position in a cursor of this order. Raises InvalidRequest for any other text."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        found, position = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, TypeError, RecursionError):
        found = position = None
    if found == order and type(position) is kind and _plausible(position):
        return position
    raise invalid_cursor()


def invalid_cursor() -> InvalidRequest:
    """The error for a text that no list gave."""
    return InvalidRequest("the cursor is not one that this list gave", [Fault("after", "not a cursor of this list")])


def _plausible(position: int | str) -> bool:
    return len(position) <= MAX_TEXT and position.isascii() if isinstance(position, str) else 0 <= position < MAX_NUMBER
