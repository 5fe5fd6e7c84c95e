"""One HTTP POST to somebody else's server, which may do its worst: hang, drip, send without end, lead elsewhere.

httpcore, the part of httpx that speaks HTTP, is driven directly: it lets us choose the address that is connected to,
follows no redirect, asks no proxy of the environment and unpacks nothing.
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

#: Seconds for the whole: the name, the connection, TLS, sending, and the answer to its end.
TOTAL_S = 15.0
#: Seconds for one address to take the connection; a host may have several, of which one is dead.
CONNECT_S = 5.0
#: Bytes of an answer's body that are read, and dropped. Nobody needs more to say "taken".
MAX_ANSWER_BYTES = 64 * 1024


@dataclass(frozen=True)
class WebhookResponse:
    """What the server said: its status, and `Retry-After` where it sent that."""

    status: int
    retry_after: str | None = None


class WebhookClient:
    """Posts to addresses that its resolver lets pass."""

    def __init__(self, resolver: Resolver, tls: ssl.SSLContext | None = None, total_s: float = TOTAL_S) -> None:
        self._resolver, self._total_s = resolver, total_s
        self._tls = tls or ssl.create_default_context()

    def post(self, target: WebhookTarget, headers: Mapping[str, str], content: bytes) -> WebhookResponse:
        """Raises DeliveryError where no whole answer came in time, whatever its status."""
        backend = _Backend(self._resolver, time.monotonic() + self._total_s)
        url = httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path)
        framing = {"Host": target.authority, "Content-Length": str(len(content)), "Connection": "close"}
        sent = [*framing.items(), *headers.items()]
        with (
            _named(self._total_s),
            httpcore.ConnectionPool(ssl_context=self._tls, network_backend=backend) as pool,
            pool.stream("POST", url, headers=sent, content=content) as response,
        ):
            _read_to_the_end(response)
            return WebhookResponse(response.status, _header(response, b"retry-after"))


class _Backend(httpcore.NetworkBackend):
    """Looks a host up once, and connects to what was found and checked: no second answer can come between."""

    def __init__(self, resolver: Resolver, deadline: float) -> None:
        self._resolver, self._deadline = resolver, deadline
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002  # the deadline counts
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        failed: Exception = httpcore.ConnectError("no address")
        for address in self._resolver.addresses(host, port, _left(self._deadline)):
            try:
                seconds = min(CONNECT_S, _left(self._deadline))
                stream = self._sockets.connect_tcp(address, port, seconds, local_address, socket_options)
                return _Stream(stream, self._deadline)
            except httpcore.ConnectTimeout as error:
                failed = httpcore.ConnectError(str(error))  # of this address; the deadline is another matter
            except httpcore.ConnectError as error:
                failed = error
        raise failed


class _Stream(httpcore.NetworkStream):
    """A connection all of whose steps together have until the deadline, however small each of them is."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream, self._deadline = stream, deadline
        self.close, self.get_extra_info = stream.close, stream.get_extra_info  # type: ignore[method-assign]

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        return self._stream.read(max_bytes, _left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._stream.write(buffer, _left(self._deadline))

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, _left(self._deadline)), self._deadline)


def _left(deadline: float) -> float:
    """Seconds until the deadline. Raises httpcore.ReadTimeout behind it."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise httpcore.ReadTimeout("the time is over")
    return seconds


def _read_to_the_end(response: httpcore.Response) -> None:
    size = 0
    for part in response.iter_stream():
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            raise DeliveryError("too_long", f"the answer's body is over {MAX_ANSWER_BYTES} bytes")


def _header(response: httpcore.Response, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in response.headers if key.lower() == name), None)


@contextmanager
def _named(total_s: float) -> Iterator[None]:
    """Raise DeliveryError instead of httpcore's errors."""
    try:
        yield
    except httpcore.TimeoutException as error:
        raise DeliveryError("timeout", f"no whole answer within {total_s:g} s") from error
    except httpcore.ConnectError as error:
        code = "tls" if isinstance(error.__context__, ssl.SSLError) else "unreachable"
        raise DeliveryError(code, f"no connection: {error}") from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        # Not what came: whoever chose the address may read this, and need not be who may read that.
        raise DeliveryError("broken_off", "the connection broke off, or what came is no HTTP") from error
