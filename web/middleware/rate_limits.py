"""Quotas per API key, or per address for requests without a valid key. Without any keys there are no limits."""

from __future__ import annotations

import io
import ipaddress
from typing import IO, Any, cast

from flask import Flask, Response, g, request

from shared.access.api_keys import LOCAL_ADMIN
from shared.access.quotas import HOUR_S, Quota, QuotaKind
from web.state import services, state

#: Bytes of a body of unknown length counted at a time.
STEP_BYTES = 1024 * 1024
#: Length of the IPv6 prefix that one subscriber has; the other bits are free to choose.
IPV6_PREFIX = 64


def install(app: Flask) -> None:
    """Make `app` count requests, and the bytes of their bodies before they are read."""
    app.before_request(_count)
    app.after_request(_add_headers)


def charge(counted: QuotaKind, amount: int = 1) -> None:
    """Count `amount` for the client. Raise TooManyRequests or TooLarge if its quota is exceeded."""
    if amount and _limited():
        left = state().quotas.charge(counted, _client(), amount)
        g.setdefault("quotas", {})[counted] = left


def most_open_jobs() -> int | None:
    """Return how many unfinished jobs the client's owner may have; None for no limit."""
    most: int = services().settings.max_open_jobs
    return most if _limited() else None


def _limited() -> bool:
    return g.get("key") is not LOCAL_ADMIN


def _client() -> str:
    if "key" in g:
        return f"key {g.key.name}"
    try:
        address = ipaddress.ip_address(request.remote_addr or "")
    except ValueError:
        return "address unknown"
    if isinstance(address, ipaddress.IPv6Address):
        address = ipaddress.ip_network((address, IPV6_PREFIX), strict=False).network_address
    return f"address {address}"


def _count() -> None:
    if "key" not in g:  # a public view
        return
    charge(QuotaKind.REQUESTS)
    if request.content_length is not None:
        charge(QuotaKind.BYTES, request.content_length)
    elif "Transfer-Encoding" in request.headers and _limited():
        request.stream = cast(IO[bytes], _CountedStream(request.stream))


def _add_headers(response: Response) -> Response:
    """Add the headers of draft-ietf-httpapi-ratelimit-headers."""
    quotas: dict[QuotaKind, Quota] = g.get("quotas", {})
    if quotas:
        policies = (f'"{quota.kind}";q={quota.limit};w={HOUR_S}' for quota in quotas.values())
        response.headers["RateLimit-Policy"] = ", ".join(policies)
        left = (f'"{quota.kind}";r={quota.remaining};t={quota.reset_s}' for quota in quotas.values())
        response.headers["RateLimit"] = ", ".join(left)
    return response


class _CountedStream(io.RawIOBase):
    """A request body that is counted as it is read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._paid = stream, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into `buffer`, after counting STEP_BYTES in advance when needed. Return the number of bytes."""
        if not self._paid:
            charge(QuotaKind.BYTES, STEP_BYTES)
            self._paid = STEP_BYTES
        data = self._stream.read(min(len(buffer), self._paid))
        buffer[: len(data)] = data
        self._paid -= len(data)
        return len(data)
