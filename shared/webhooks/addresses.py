"""Which addresses webhooks may go to: public ones, and what the setting DARKROOM_WEBHOOK_ALLOW names.

A webhook's URL comes from whoever submits a job. Without this rule it could make Darkroom call what only Darkroom's
machine can reach: its own Redis, a router, the metadata service of a cloud.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address

#: All that is routed in IPv6 is in here (RFC 4291, section 2.4), but for the next two.
GLOBAL_UNICAST = IPv6Network("2000::/3")
#: IPv4 addresses written as IPv6 ones for a translator (RFC 6052): judged by their last four bytes.
NAT64 = IPv6Network("64:ff9b::/96")
#: Public by number, but: what protocols and documentation use, which Python 3.11 does not all know of (RFC 6890,
#: RFC 9637), and what the host machine answers in Azure, with its metadata and keys.
SPECIAL = (IPv4Network("192.0.0.0/24"), IPv6Network("3fff::/20"), IPv4Network("168.63.129.16/32"))
#: A host's name as URLs have it; also what the system takes for an address, such as 0x7f.1.
NAME = re.compile(r"[A-Za-z0-9_-]([A-Za-z0-9._-]{0,252})")


@dataclass(frozen=True)
class AllowList:
    """What webhooks may go to beside public addresses: whole networks, and hosts by name, whatever their address."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    names: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str) -> AllowList:
        """Networks (`10.1.0.0/16`), addresses and names, with commas between them. Raises ValueError."""
        words = [word.strip().lower() for word in text.split(",") if word.strip()]
        networks = {word: network for word in words if (network := _network(word)) is not None}
        return cls(tuple(networks.values()), frozenset(_name(word) for word in words if word not in networks))

    def first_forbidden(self, host: str, addresses: Iterable[str]) -> str | None:
        """The first of a host's addresses that webhooks may not go to, None where they may go to all of them."""
        if host.lower() in self.names:
            return None
        return next((text for text in addresses if not self._permits(embedded_ipv4(ip_address(text)))), None)

    def _permits(self, address: Address) -> bool:
        return is_public(address) or any(address in network for network in self.networks)


def is_public(address: Address) -> bool:
    """Whether anybody on the internet could reach this address: no private, loopback, link-local or reserved one."""
    address = embedded_ipv4(address)
    if isinstance(address, IPv6Address) and (address not in GLOBAL_UNICAST or address.sixtofour or address.teredo):
        return False
    special = address.is_multicast or any(address in network for network in SPECIAL)
    return address.is_global and not special


def embedded_ipv4(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, where it does; else the same."""
    if isinstance(address, IPv6Address):
        if address in NAT64:
            return IPv4Address(address.packed[-4:])
        return address.ipv4_mapped or address
    return address


def _network(word: str) -> IPv4Network | IPv6Network | None:
    """The network, None for a word that is none. Raises ValueError for a network with bits behind its mask."""
    try:
        return ip_network(word)
    except ValueError:
        if "/" in word or ":" in word:
            raise
        return None


def _name(word: str) -> str:
    if not NAME.fullmatch(word):
        raise ValueError(f"{word!r} is neither a network nor the name of a host")
    return word
