"""`Link: rel="next"` (RFC 8288) on a page of a list."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Response, request


def linked(page: Response, cursor: str | None) -> Response:
    """Add the URL of the next page to `page`: the same request with `after=cursor`. Add nothing if `cursor` is None."""
    if cursor is not None:
        address = f"{request.path}?{urlencode({**request.args.to_dict(), 'after': cursor})}"
        page.headers["Link"] = f'<{address}>; rel="next"'
    return page
