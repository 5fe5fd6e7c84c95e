"""Read tables of a FlatBuffer by the numbers of their fields. https://flatbuffers.dev/internals describes the format.

Every function raises `struct.error` if an offset is outside the buffer.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

#: Elements of a vector that are read, at most: more are not needed from a table that describes something.
MAX_ELEMENTS = 100_000


@dataclass(frozen=True)
class Table:
    """A table at a position of a buffer."""

    buffer: bytes
    position: int

    @classmethod
    def root(cls, buffer: bytes) -> Table:
        """Return the table that the buffer begins with."""
        return cls(buffer, _number(buffer, "I", 0))

    def number(self, field: int, kind: str) -> Any:
        """Return a number, 0 if it is missing. `kind` is a letter of `struct`."""
        place = self._place(field)
        return _number(self.buffer, kind, place) if place else 0

    def numbers(self, field: int, kind: str) -> list[Any]:
        """Return the numbers in a vector."""
        return [_number(self.buffer, kind, place) for place in self._elements(field, struct.calcsize(f"<{kind}"))]

    def table(self, field: int) -> Table | None:
        """Return the table in a field, None if it is missing."""
        place = self._place(field)
        return self._at(place) if place else None

    def tables(self, field: int) -> list[Table]:
        """Return the tables in a vector."""
        return [self._at(place) for place in self._elements(field, 4)]

    def content(self, field: int) -> bytes:
        """Return a string or a vector of bytes; empty if it is missing."""
        place = self._place(field)
        if not place:
            return b""
        start = place + _number(self.buffer, "I", place)
        return self.buffer[start + 4 : start + 4 + _number(self.buffer, "I", start)]

    def _at(self, place: int) -> Table:
        return Table(self.buffer, place + _number(self.buffer, "I", place))

    def _place(self, field: int) -> int:
        """Return where the value of a field is, 0 if it is missing."""
        names = self.position - _number(self.buffer, "i", self.position)
        entry = 4 + 2 * field
        offset = _number(self.buffer, "H", names + entry) if entry < _number(self.buffer, "H", names) else 0
        return self.position + offset if offset else 0

    def _elements(self, field: int, size: int) -> Iterator[int]:
        place = self._place(field)
        if place:
            start = place + _number(self.buffer, "I", place)
            for index in range(min(_number(self.buffer, "I", start), MAX_ELEMENTS)):
                yield start + 4 + index * size


def _number(buffer: bytes, kind: str, place: int) -> Any:
    if place < 0:
        raise struct.error("an offset is before the buffer")
    return struct.unpack_from(f"<{kind}", buffer, place)[0]
