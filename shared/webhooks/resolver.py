"""DNS lookups with a timeout, restricted to addresses that webhooks may call."""

from __future__ import annotations

import socket
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import BoundedSemaphore, Thread

from shared.domain.errors import DeliveryError
from shared.webhooks.addresses import AllowList

#: A lookup returns the addresses of a host and port, best first, and raises OSError.
Lookup = Callable[[str, int], list[str]]
#: Concurrent lookups per process: the system may wait half a minute for a dead name server.
MAX_LOOKUPS = 64


def system_lookup(host: str, port: int) -> list[str]:
    """Look a host up with the system resolver, which accepts 2130706433 and 0x7f.1 as 127.0.0.1."""
    # As bytes, since Python encodes str with IDNA 2003 and raises UnicodeError if a label is too long.
    found = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]).partition("%")[0] for *_, address in found))


class Resolver:
    """A resolver that rejects hosts with a forbidden address."""

    def __init__(self, allowed: AllowList, lookup: Lookup = system_lookup) -> None:
        self._allowed, self._lookup = allowed, lookup
        self._slots = BoundedSemaphore(MAX_LOOKUPS)

    def addresses(self, host: str, port: int, timeout_s: float) -> list[str]:
        """Return all addresses of `host`, best first. Raise DeliveryError (`unresolved` or `forbidden_address`)."""
        addresses = self._lookup_addresses(host, port, timeout_s)
        if not addresses:
            raise DeliveryError("unresolved", f"no address found for {host}")
        if self._allowed.first_forbidden(host, addresses) is not None:
            # Without the address, which may be known only to the internal name server.
            raise DeliveryError("forbidden_address", f"{host} has an address that is not public")
        return addresses

    def _lookup_addresses(self, host: str, port: int, timeout_s: float) -> list[str]:
        """Return the addresses, or [] if the lookup fails, times out, or finds too many others in progress."""
        if not self._slots.acquire(blocking=False):
            return []
        results: SimpleQueue[list[str]] = SimpleQueue()
        Thread(target=self._run_lookup, args=(host, port, results), daemon=True).start()
        try:
            return results.get(timeout=timeout_s)
        except Empty:
            return []

    def _run_lookup(self, host: str, port: int, results: SimpleQueue[list[str]]) -> None:
        try:
            results.put(self._lookup(host, port))
        except OSError:
            results.put([])
        finally:
            self._slots.release()
