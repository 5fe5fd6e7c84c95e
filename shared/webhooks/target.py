"""Webhook URLs, parsed only once, so that the URL that is called is the one that was checked."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from urllib.parse import SplitResult, urlsplit

from shared.domain.entities import DEFAULT_PORTS, WebhookTarget
from shared.domain.errors import DeliveryError
from shared.webhooks.addresses import NAME
from shared.webhooks.resolver import Resolver

#: Maximum length of a URL.
MAX_URL = 2048
#: Characters allowed in a URL (RFC 3986). Others must be percent-encoded, or in a host name as `xn--…`.
CHARACTERS = re.compile(r"[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]+")
#: An IPv6 address in brackets, without a zone, which would name a local interface.
BRACKETED = re.compile(r"\[[0-9A-Fa-f:.]+\](:[0-9]*)?")
#: Timeout of the DNS lookup during a request, in seconds.
LOOKUP_S = 2.0


def parse(url: str) -> WebhookTarget:
    """Parse a URL. Raise ValueError with the reason if it is invalid."""
    if len(url) > MAX_URL:
        raise ValueError(f"has more than {MAX_URL} characters")
    if not CHARACTERS.fullmatch(url):
        raise ValueError("is not a URL, has a fragment, or has characters that must be percent-encoded")
    parts = _split(url)
    if parts.scheme not in DEFAULT_PORTS:
        raise ValueError("must begin with https:// or http://")
    if "@" in parts.netloc:
        raise ValueError("must not contain a user name or password")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return WebhookTarget(url, parts.scheme, _host(parts), _port(parts), path)


def check(url: str, resolver: Resolver) -> WebhookTarget:
    """Parse a URL. Raise ValueError with the reason if it is invalid or its host has a forbidden address.

    A name that cannot be resolved now is accepted, since each delivery resolves it again.
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
        raise ValueError("is not a URL: its brackets do not contain an IPv6 address") from error


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if ":" in host:
        return str(IPv6Address(host))
    if not NAME.fullmatch(host):
        raise ValueError("has no valid host name")
    return host


def _port(parts: SplitResult) -> int:
    try:
        port = DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port
    except ValueError:
        port = 0
    if not port:
        raise ValueError("has a port that is not 1 to 65535")
    return port
