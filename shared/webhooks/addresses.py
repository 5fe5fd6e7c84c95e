"""The addresses that webhooks may call: public ones, and those in the setting DARKROOM_WEBHOOK_ALLOW.

This prevents server-side request forgery (SSRF): without it, a client could make Darkroom call internal services, such
as its own Redis, a router, or a cloud's metadata service.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address

#: All globally routed IPv6 addresses (RFC 4291, section 2.4), with the next two exceptions.
GLOBAL_UNICAST = IPv6Network("2000::/3")
#: IPv4 addresses embedded in IPv6 for NAT64 (RFC 6052), in the last four bytes.
NAT64 = IPv6Network("64:ff9b::/96")
#: Forbidden, although Python 3.11 considers some of them public: protocol and documentation networks (RFC 6890,
#: RFC 9637), and Azure's host endpoint, which serves metadata and keys.
SPECIAL = (IPv4Network("192.0.0.0/24"), IPv6Network("3fff::/20"), IPv4Network("168.63.129.16/32"))
#: A host name in a URL. It includes forms that the system resolver accepts as addresses, such as 0x7f.1.
NAME = re.compile(r"[A-Za-z0-9_-]([A-Za-z0-9._-]{0,252})")


@dataclass(frozen=True)
class AllowList:
    """What webhooks may call besides public addresses: networks, and host names with any address."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    names: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str) -> AllowList:
        """Parse comma-separated networks (`10.1.0.0/16`), addresses and host names. Raise ValueError."""
        words = [word.strip().lower() for word in text.split(",") if word.strip()]
        networks = {word: network for word in words if (network := _network(word)) is not None}
        return cls(tuple(networks.values()), frozenset(_name(word) for word in words if word not in networks))

    def first_forbidden(self, host: str, addresses: Iterable[str]) -> str | None:
        """Return the first forbidden address of a host, or None."""
        if host.lower() in self.names:
            return None
        return next((text for text in addresses if not self._permits(embedded_ipv4(ip_address(text)))), None)

    def _permits(self, address: Address) -> bool:
        return is_public(address) or any(address in network for network in self.networks)


def is_public(address: Address) -> bool:
    """Return whether the address is public: not private, loopback, link-local, multicast or reserved."""
    address = embedded_ipv4(address)
    if isinstance(address, IPv6Address) and (address not in GLOBAL_UNICAST or address.sixtofour or address.teredo):
        return False
    special = address.is_multicast or any(address in network for network in SPECIAL)
    return address.is_global and not special


def embedded_ipv4(address: Address) -> Address:
    """Return the IPv4 address that is embedded in an IPv6 address, or else the address itself."""
    if isinstance(address, IPv6Address):
        if address in NAT64:
            return IPv4Address(address.packed[-4:])
        return address.ipv4_mapped or address
    return address


def _network(word: str) -> IPv4Network | IPv6Network | None:
    """Return the network, or None if `word` is a host name. Raise ValueError for a network with host bits set."""
    try:
        return ip_network(word)
    except ValueError:
        if "/" in word or ":" in word:
            raise
        return None


def _name(word: str) -> str:
    if not NAME.fullmatch(word):
        raise ValueError(f"{word!r} is neither a network nor a host name")
    return word
