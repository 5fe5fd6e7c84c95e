"""Keys of parts of blobs: `<key of the blob>#<first byte>+<length>`. A picture in a pack has such a key."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """`length` bytes of a blob from `start` on."""

    blob: str
    start: int
    length: int

    @property
    def end(self) -> int:
        """Return the place behind its last byte."""
        return self.start + self.length


def part_of(key: str) -> Part | None:
    """Return the part of a blob that `key` names, or None if it names a whole blob."""
    blob, is_part, place = key.partition("#")
    if not is_part:
        return None
    start, _, length = place.partition("+")
    return Part(blob, int(start), int(length))
