"""The URL that a webhook goes to: taken apart once, so that what was checked is what is called."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from urllib.parse import SplitResult, urlsplit

from shared.domain.entities import DEFAULT_PORTS, WebhookTarget
from shared.domain.errors import DeliveryError
from shared.webhooks.addresses import NAME
from shared.webhooks.resolver import Resolver

#: Characters of a URL.
MAX_URL = 2048
#: What may stand in a URL (RFC 3986); anything else is written with `%`, a host's name as `xn--…`.
CHARACTERS = re.compile(r"[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]+")
#: An IPv6 address, which needs brackets, without a zone: that is a name for links of this machine.
BRACKETED = re.compile(r"\[[0-9A-Fa-f:.]+\](:[0-9]*)?")
#: Seconds that a submitting request waits for a name server.
LOOKUP_S = 2.0


def parse(url: str) -> WebhookTarget:
    """Take a URL apart. Raises ValueError with what is wrong with it."""
    if len(url) > MAX_URL:
        raise ValueError(f"has over {MAX_URL} characters")
    if not CHARACTERS.fullmatch(url):
        raise ValueError("is no URL, or has characters that must be written as %XX, or a fragment")
    parts = _split(url)
    if parts.scheme not in DEFAULT_PORTS:
        raise ValueError("must begin with https:// or http://")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or a password")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return WebhookTarget(url, parts.scheme, _host(parts), _port(parts), path)


def check(url: str, resolver: Resolver) -> WebhookTarget:
    """`url` taken apart. Raises ValueError with what is wrong with it, also where its host has a forbidden address.

    A name that cannot be looked up at the moment passes: it is looked up again whenever something is sent.
    """
    target = parse(url)
    try:
        resolver.addresses(target.host, target.port, LOOKUP_S)
    except DeliveryError as error:
        if error.code != "unresolved":
            raise ValueError(f"is not allowed: {error}; the setting DARKROOM_WEBHOOK_ALLOW names exceptions") from error
    return target


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        if "[" in parts.netloc and not BRACKETED.fullmatch(parts.netloc.rpartition("@")[2]):
            raise ValueError(parts.netloc)
        if ":" in (parts.hostname or ""):
            IPv6Address(parts.hostname or "")
        return parts
    except ValueError as error:
        raise ValueError("is no URL: its brackets hold no IPv6 address") from error


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if ":" in host:
        return str(IPv6Address(host))
    if not NAME.fullmatch(host):
        raise ValueError("names no host")
    return host


def _port(parts: SplitResult) -> int:
    try:
        port = DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port
    except ValueError:
        port = 0
    if not port:
        raise ValueError("has a port that is not 1 to 65535")
    return port
