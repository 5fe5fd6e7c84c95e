"""Read and cut protobuf messages without their schema: fields by number, values as bytes or numbers.

https://protobuf.dev/programming-guides/encoding/ describes the encoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shared.domain.errors import InvalidRequest

#: Kinds of values: a number of any length, 8 bytes, a length and bytes, 4 bytes.
VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5


@dataclass(frozen=True)
class Field:
    """A field of a message: its number, its value, and how the field is written."""

    number: int
    value: int | memoryview
    raw: memoryview

    @property
    def message(self) -> memoryview:
        """Return the value as bytes, empty if it is a number."""
        return self.value if isinstance(self.value, memoryview) else memoryview(b"")

    @property
    def text(self) -> str:
        """Return the value as text."""
        return bytes(self.message).decode(errors="replace")


def fields(message: memoryview) -> Iterator[Field]:
    """Yield the fields of a message. Raises InvalidRequest if it is damaged."""
    place = 0
    while place < len(message):
        start = place
        tag, place = _varint(message, place)
        value: int | memoryview
        if tag & 7 == VARINT:
            value, place = _varint(message, place)
        else:
            place, end = _extent(message, place, tag & 7)
            value, place = message[place:end], end
        yield Field(tag >> 3, value, message[start:place])


def _extent(message: memoryview, place: int, kind: int) -> tuple[int, int]:
    if kind == BYTES:
        length, place = _varint(message, place)
    else:
        length = {EIGHT: 8, FOUR: 4}.get(kind, len(message) + 1)
    if place + length > len(message):
        raise _damaged()
    return place, place + length


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    number = 0
    for shift, byte in enumerate(message[place : place + 10]):
        number |= (byte & 127) << (7 * shift)
        if byte < 128:
            return number, place + shift + 1
    raise _damaged()


def _damaged() -> InvalidRequest:
    return InvalidRequest("the file is damaged: a part of it is missing or has changed")


def all_of(message: memoryview, *numbers: int) -> Iterator[memoryview]:
    """Yield the messages at a path of field numbers."""
    first, *rest = numbers
    for field in fields(message):
        if field.number == first:
            yield from all_of(field.message, *rest) if rest else [field.message]


def written(number: int, value: bytes) -> bytes:
    """Return a field with bytes as its value."""
    length, parts = len(value), bytearray()
    while length > 127:
        parts.append(length & 127 | 128)
        length >>= 7
    return bytes([number << 3 | BYTES, *parts, length]) + value
