"""A response that browsers save as a file."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from flask import Response


def attachment(chunks: Iterator[bytes], name: str, content_type: str) -> Response:
    """Return a response that streams a file. An error before the first chunk is raised."""
    first = next(chunks, b"")  # so that an error becomes a problem document, not a file that is cut short
    response = Response(chain([first], chunks), content_type=content_type)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
