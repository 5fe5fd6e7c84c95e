"""Sizes as people read them."""

from __future__ import annotations


def readable_bytes(count: int) -> str:
    """Return bytes for people, with 1 KB = 1,024 bytes, rounded down so that a limit is never overstated.

    67108864 → "64 MB".
    """
    value, unit = float(count), "bytes"
    for following in ("KB", "MB", "GB", "TB"):
        if value < 1024:
            break
        value, unit = value / 1024, following
    return f"{int(value * 10) / 10:,g} {unit}"
