"""HTTP POST to an untrusted server, which may hang, send slowly, send without end, or redirect.

It uses httpcore, the HTTP layer of httpx, directly: httpcore connects to an address of our choice, and it follows no
redirects, ignores proxy variables and decompresses nothing.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpcore

from shared.domain.entities import WebhookTarget
from shared.domain.errors import DeliveryError
from shared.webhooks.resolver import Resolver

#: Seconds for the whole request: DNS, connection, TLS, request and response.
TOTAL_S = 15.0
#: Seconds to connect to one address; a host may have several, some of them dead.
CONNECT_S = 5.0
#: Maximum size of a response body, which is read and discarded.
MAX_RESPONSE_BYTES = 64 * 1024


@dataclass(frozen=True)
class WebhookResponse:
    """A response: its status, and its `Retry-After` header or None."""

    status: int
    retry_after: str | None = None


class WebhookClient:
    """A client that connects only to addresses that its resolver permits."""

    def __init__(self, resolver: Resolver, tls: ssl.SSLContext | None = None, total_s: float = TOTAL_S) -> None:
        self._resolver, self._total_s = resolver, total_s
        self._tls = tls or ssl.create_default_context()

    def post(self, target: WebhookTarget, headers: Mapping[str, str], content: bytes) -> WebhookResponse:
        """Return the response, whatever its status. Raise DeliveryError if it is not complete in time."""
        backend = _Backend(self._resolver, time.monotonic() + self._total_s)
        url = httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path)
        framing = {"Host": target.authority, "Content-Length": str(len(content)), "Connection": "close"}
        sent = [*framing.items(), *headers.items()]
        with (
            _delivery_errors(self._total_s),
            httpcore.ConnectionPool(ssl_context=self._tls, network_backend=backend) as pool,
            pool.stream("POST", url, headers=sent, content=content) as response,
        ):
            _discard_body(response)
            return WebhookResponse(response.status, _header(response, b"retry-after"))


class _Backend(httpcore.NetworkBackend):
    """A backend that resolves the host once and connects to the checked addresses, which prevents DNS rebinding."""

    def __init__(self, resolver: Resolver, deadline: float) -> None:
        self._resolver, self._deadline = resolver, deadline
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002  # the deadline applies
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        failed: Exception = httpcore.ConnectError("the host has no address")
        for address in self._resolver.addresses(host, port, _remaining_s(self._deadline)):
            try:
                seconds = min(CONNECT_S, _remaining_s(self._deadline))
                stream = self._sockets.connect_tcp(address, port, seconds, local_address, socket_options)
                return _Stream(stream, self._deadline)
            except httpcore.ConnectTimeout as error:
                failed = httpcore.ConnectError(str(error))  # only this address timed out, not the request
            except httpcore.ConnectError as error:
                failed = error
        raise failed


class _Stream(httpcore.NetworkStream):
    """A connection on which all reads and writes share one deadline."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream, self._deadline = stream, deadline
        self.close, self.get_extra_info = stream.close, stream.get_extra_info  # type: ignore[method-assign]

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        return self._stream.read(max_bytes, _remaining_s(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._stream.write(buffer, _remaining_s(self._deadline))

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        return _Stream(
            self._stream.start_tls(ssl_context, server_hostname, _remaining_s(self._deadline)), self._deadline
        )


def _remaining_s(deadline: float) -> float:
    """Return the seconds until the deadline. Raise httpcore.ReadTimeout if it has passed."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise httpcore.ReadTimeout("the deadline has passed")
    return seconds


def _discard_body(response: httpcore.Response) -> None:
    size = 0
    for part in response.iter_stream():
        size += len(part)
        if size > MAX_RESPONSE_BYTES:
            raise DeliveryError("too_long", f"the response body exceeds {MAX_RESPONSE_BYTES} bytes")


def _header(response: httpcore.Response, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in response.headers if key.lower() == name), None)


@contextmanager
def _delivery_errors(total_s: float) -> Iterator[None]:
    """Translate httpcore's errors to DeliveryError."""
    try:
        yield
    except httpcore.TimeoutException as error:
        raise DeliveryError("timeout", f"no complete response within {total_s:g} s") from error
    except httpcore.ConnectError as error:
        code = "tls" if isinstance(error.__context__, ssl.SSLError) else "unreachable"
        raise DeliveryError(code, f"the connection failed: {error}") from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        # Without the response's content: the owner of the job may not be allowed to read it.
        raise DeliveryError("broken_off", "the connection was closed early, or the response is not HTTP") from error
