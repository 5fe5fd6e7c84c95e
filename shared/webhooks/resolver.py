"""From a host's name to its addresses, without waiting for a name server for longer than one says."""

from __future__ import annotations

import socket
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import BoundedSemaphore, Thread

from shared.domain.errors import DeliveryError
from shared.webhooks.addresses import AllowList

#: Looks a host up: its addresses as text, best first. Raises OSError.
Lookup = Callable[[str, int], list[str]]
#: Questions that one process has under way at a time. The system may wait for half a minute for a dead name server.
MAX_LOOKUPS = 64


def system_lookup(host: str, port: int) -> list[str]:
    """Ask the system, which takes 2130706433 and 0x7f.1 for 127.0.0.1, as any client would."""
    # As bytes: Python would encode text by IDNA 2003, and raise UnicodeError for a label that is too long.
    found = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]).partition("%")[0] for *_, address in found))


class Resolver:
    """The addresses of hosts, none of which webhooks may not go to."""

    def __init__(self, allowed: AllowList, lookup: Lookup = system_lookup) -> None:
        self._allowed, self._lookup = allowed, lookup
        self._places = BoundedSemaphore(MAX_LOOKUPS)

    def addresses(self, host: str, port: int, timeout_s: float) -> list[str]:
        """All addresses of `host`, best first. Raises DeliveryError: `unresolved`, `forbidden_address`."""
        addresses = self._ask(host, port, timeout_s)
        if not addresses:
            raise DeliveryError("unresolved", f"no address was found for {host}")
        if self._allowed.first_forbidden(host, addresses) is not None:
            # Which address a name has is not told: it may be one that only this network's name server knows.
            raise DeliveryError("forbidden_address", f"{host} has an address that is not public")
        return addresses

    def _ask(self, host: str, port: int, timeout_s: float) -> list[str]:
        """The system's answer, none where it fails or takes too long."""
        if not self._places.acquire(blocking=False):
            return []
        answers: SimpleQueue[list[str]] = SimpleQueue()
        Thread(target=self._answer, args=(host, port, answers), daemon=True).start()
        try:
            return answers.get(timeout=timeout_s)
        except Empty:
            return []

    def _answer(self, host: str, port: int, answers: SimpleQueue[list[str]]) -> None:
        try:
            answers.put(self._lookup(host, port))
        except OSError:
            answers.put([])
        finally:
            self._places.release()
