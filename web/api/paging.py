"""`Link: rel="next"` (RFC 8288) on a page of a list."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Response, request


def linked(page: Response, cursor: str | None) -> Response:
    """The page with the address of the next one: the same request from `cursor` on; None where there is none yet."""
    if cursor is not None:
        address = f"{request.path}?{urlencode({**request.args.to_dict(), 'after': cursor})}"
        page.headers["Link"] = f'<{address}>; rel="next"'
    return page
